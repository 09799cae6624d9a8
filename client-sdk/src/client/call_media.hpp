#pragma once
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audio/audio_stream.hpp"
#include "audio/device.hpp"
#include "audio/file_player.hpp"
#include "audio/file_recorder.hpp"
#include "isthmus/audio.hpp"
#include "isthmus/client.hpp"
#include "net/client_connection.hpp"
#include "ua/media_negotiation.hpp"

namespace isthmus::detail {

/// What AudioOptions name, opened. May be made on any thread.
struct AudioEnds {
  AudioOptions options;
  std::optional<audio::FilePlayer> player;
  std::optional<audio::FileRecorder> recorder;
  std::unique_ptr<audio::AudioDevice> device;
  bool device_sends = false;

  static Outcome<AudioEnds> open(AudioOptions options);
};

/// The audio of one call: an AudioStream between the link's channels and its ends, moved every 10
/// or 20 ms by a timer. On the SDK's thread. What it calls may let go of it.
class CallMedia : public std::enable_shared_from_this<CallMedia> {
 public:
  CallMedia(boost::asio::io_context& io, net::ClientConnection& connection, Random& random,
            AudioEnds ends, std::function<void(char)> on_dtmf);

  /// What was agreed, at first or anew. @return an error that names the codec at fault
  Outcome<void> update(const ua::AgreedMedia& agreed);
  void set_answered() { answered_ = true; }  ///< files begin to play
  void on_packet(std::uint32_t channel, ByteView bytes);
  void push(std::span<const std::int16_t> samples);
  bool can_send_events() const { return stream_ && agreed_.send_dtmf_payload_type.has_value(); }
  Outcome<void> send_dtmf(std::string_view digits, milliseconds duration);
  void close();  ///< says goodbye, finishes the recording

  bool started() const { return stream_ != nullptr; }
  std::uint16_t local_channel() const { return agreed_.local_channel; }
  void fill(CallStatistics& statistics) const;

 private:
  void arm();
  void tick(Instant now);
  void send_audio(Instant now);
  void receive_audio(Instant now);
  void deliver(std::span<const std::int16_t> samples);
  void take_source(std::span<std::int16_t> frame);

  net::ClientConnection& connection_;
  Random& random_;
  AudioEnds ends_;
  std::function<void(char)> on_dtmf_;
  std::string cname_;
  boost::asio::steady_timer timer_;
  Duration step_;
  Instant next_tick_{};
  ua::AgreedMedia agreed_;
  std::unique_ptr<audio::AudioStream> stream_;
  audio::AudioStreamStatistics past_;  ///< counts of streams that a change of codec ended
  std::vector<std::int16_t> frame_;
  std::deque<std::int16_t> pushed_;
  bool answered_ = false, closed_ = false;
};

}  // namespace isthmus::detail
