#pragma once
#include <optional>
#include <string>

#include "event_queue.hpp"
#include "options.hpp"
#include "report.hpp"

namespace phone {

/// What one call does of itself once it is answered: digits, hold, hanging up in time.
class CallSession {
 public:
  CallSession(const Options& options, Report& report, isthmus::Call call, std::string peer);

  const isthmus::Call& call() const { return call_; }
  const std::string& peer() const { return peer_; }
  Clock::time_point next_deadline() const;
  void on_time(Clock::time_point now);
  void on_change(const isthmus::CallEvent& event, Clock::time_point now);
  void on_statistics(const isthmus::CallStatistics& all, const isthmus::SessionInfo& session,
                     Clock::time_point now);
  void on_digit(char digit);
  void hang_up(std::string why, int exit_code);

  bool ended() const { return summary_.has_value(); }
  const Summary& summary() const { return *summary_; }  ///< of an ended call

 private:
  void on_answer(Clock::time_point now);
  int exit_code_of(const isthmus::CallEvent& event) const;

  const Options& options_;
  Report& report_;
  isthmus::Call call_;
  std::string peer_;
  isthmus::CallState state_ = isthmus::CallState::calling;
  bool answered_ = false;
  std::optional<Clock::time_point> hang_up_at_, dtmf_at_, hold_at_, resume_at_;
  std::uint64_t packets_seen_ = 0;
  Clock::time_point packet_seen_at_{};
  std::optional<int> wanted_exit_;  ///< why we hung up
  std::string wanted_reason_;
  std::uint64_t digits_ = 0;
  std::optional<Summary> summary_;
};

/// Sends standard error nowhere: sound systems complain there of what nobody asked for.
class QuietErrors {
 public:
  QuietErrors();
  ~QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;

 private:
  int kept_;
};

std::chrono::milliseconds to_duration(double seconds);

/// Places the audio's file name and, where the sound device was our own idea and there is none,
/// goes on without it.
isthmus::AudioOptions audio_of_call(const Options& options, unsigned number);

/// Runs `start` (places or answers a call) with that audio; where it fails for a sound device that
/// was our own idea, says so and runs it once more, silent.
template <typename Start>
auto with_audio(const Options& options, Report& report, isthmus::AudioOptions audio, Start start) {
  auto started = [&] {
    const QuietErrors quiet;
    return start(audio);
  }();
  if (!started && started.error().kind == isthmus::ErrorKind::audio && audio.device &&
      !options.device_wanted) {
    report.note("no sound device, the call is silent: " + started.error().text);
    audio.device = false;
    return start(audio);
  }
  return started;
}

int run_call(const Options& options);
int run_register(const Options& options);

/// Exit status of a connection that did not come about or was lost.
int exit_code_of(const isthmus::Error& error);

}  // namespace phone
