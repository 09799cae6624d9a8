#include "call_session.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace phone {

using isthmus::CallState;
using isthmus::EndCause;

QuietErrors::QuietErrors() : kept_(::dup(STDERR_FILENO)) {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDERR_FILENO);
  ::close(nowhere);
}

QuietErrors::~QuietErrors() {
  if (kept_ < 0) return;
  ::dup2(kept_, STDERR_FILENO);
  ::close(kept_);
}

std::chrono::milliseconds to_duration(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

isthmus::AudioOptions audio_of_call(const Options& options, unsigned number) {
  isthmus::AudioOptions audio = options.audio;
  const std::size_t place = audio.record_file.find("%n");
  if (place != std::string::npos) audio.record_file.replace(place, 2, std::to_string(number));
  return audio;
}

int exit_code_of(const isthmus::Error& error) {
  switch (error.kind) {
    case isthmus::ErrorKind::authentication:
      return kAuthentication;
    case isthmus::ErrorKind::bad_argument:
    case isthmus::ErrorKind::audio:
      return kUsage;
    default:
      return kNoConnection;
  }
}

CallSession::CallSession(const Options& options, Report& report, isthmus::Call call,
                         std::string peer)
    : options_(options), report_(report), call_(std::move(call)), peer_(std::move(peer)) {}

Clock::time_point CallSession::next_deadline() const {
  Clock::time_point next = Clock::time_point::max();
  for (const auto& at : {hang_up_at_, dtmf_at_, hold_at_, resume_at_}) {
    if (at) next = std::min(next, *at);
  }
  return next;
}

void CallSession::on_time(Clock::time_point now) {
  const auto due = [now](std::optional<Clock::time_point>& at) {
    if (!at || *at > now) return false;
    at.reset();
    return true;
  };
  const auto check = [this](const isthmus::Outcome<void>& outcome) {
    if (!outcome) report_.error(outcome.error().text);
  };
  if (due(dtmf_at_)) check(call_.send_dtmf(options_.dtmf));
  if (due(hold_at_)) {
    check(call_.hold(true));
    resume_at_ = now + to_duration(options_.hold_for_s);
  }
  if (due(resume_at_)) check(call_.hold(false));
  if (due(hang_up_at_)) hang_up("the wished duration is over", kCompleted);
}

void CallSession::on_answer(Clock::time_point now) {
  answered_ = true;
  packet_seen_at_ = now;
  if (options_.duration_s > 0) hang_up_at_ = now + to_duration(options_.duration_s);
  if (!options_.dtmf.empty()) dtmf_at_ = now + std::chrono::seconds(1);
  if (options_.hold_after_s > 0) hold_at_ = now + to_duration(options_.hold_after_s);
}

void CallSession::on_change(const isthmus::CallEvent& event, Clock::time_point now) {
  state_ = event.state;
  report_.call(event);
  const bool talking = state_ == CallState::connected || state_ == CallState::held;
  if (talking && !answered_) on_answer(now);
  if (state_ != CallState::ended) return;
  Summary summary;
  summary.peer = peer_;
  summary.answered = answered_;
  summary.sip_status = event.status;
  summary.end_reason = wanted_reason_.empty() ? event.reason : wanted_reason_;
  summary.exit_code = exit_code_of(event);
  summary.dtmf_received = digits_;
  if (const auto all = call_.statistics()) summary.statistics = *all;
  summary_ = std::move(summary);
}

int CallSession::exit_code_of(const isthmus::CallEvent& event) const {
  switch (event.cause) {
    case EndCause::local:
      return wanted_exit_.value_or(kCompleted);
    case EndCause::remote:
      return answered_ ? kCompleted : kFailed;
    case EndCause::refused:
      return event.status == 401 || event.status == 407 ? kAuthentication : kRefused;
    case EndCause::timeout:
      return answered_ ? kFailed : kTimeout;
    default:
      return kFailed;
  }
}

void CallSession::on_statistics(const isthmus::CallStatistics& all,
                                const isthmus::SessionInfo& session, Clock::time_point now) {
  report_.statistics(isthmus::to_text(state_), all, session);
  if (all.packets_received != packets_seen_ || state_ != CallState::connected) {
    packets_seen_ = all.packets_received;
    packet_seen_at_ = now;
  }
  if (options_.media_timeout_s > 0 && state_ == CallState::connected &&
      now - packet_seen_at_ >= to_duration(options_.media_timeout_s)) {
    hang_up(
        "no media came for " + std::to_string(static_cast<int>(options_.media_timeout_s)) + " s",
        kFailed);
  }
}

void CallSession::on_digit(char digit) {
  ++digits_;
  report_.digit(digit);
}

void CallSession::hang_up(std::string why, int exit_code) {
  if (wanted_exit_) return;
  wanted_exit_ = exit_code;
  wanted_reason_ = std::move(why);
  (void)call_.hang_up();  // an error means that it has ended, and the event is on its way
}

}  // namespace phone
