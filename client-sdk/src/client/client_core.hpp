#pragma once
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/call_media.hpp"
#include "client/io_thread.hpp"
#include "isthmus/client.hpp"
#include "net/client_connection.hpp"
#include "net/system_random.hpp"
#include "ua/user_agent.hpp"

namespace isthmus::detail {

/// What stands behind a Client: the thread, the connection, the user agent and the calls' audio.
/// All but open(), run() and finish() on the thread.
class ClientCore final : public net::ConnectionHandler,
                         public std::enable_shared_from_this<ClientCore> {
 public:
  ClientCore(ClientOptions options, ClientHandlers handlers);
  ~ClientCore() override;

  Outcome<void> open();
  void finish();
  IoThread& thread() { return thread_; }

  void connect();
  void disconnect();
  void on_network_changed();
  void start_registration(std::chrono::seconds expires);
  void stop_registration();
  Outcome<Call> call(const std::string& target, bool late_offer, AudioEnds ends);
  Outcome<void> answer(std::uint64_t id, AudioEnds ends);
  Outcome<void> reject(std::uint64_t id, int status, std::string_view reason);
  Outcome<void> hang_up(std::uint64_t id);
  Outcome<void> hold(std::uint64_t id, bool on);
  Outcome<void> send_dtmf(std::uint64_t id, std::string_view digits, milliseconds duration);
  Outcome<void> push_audio(std::uint64_t id, std::span<const std::int16_t> samples);
  Outcome<CallStatistics> statistics(std::uint64_t id) const;
  SessionInfo session() const;
  std::string aor() const;
  std::size_t call_count() const;

  void on_established(const wire::WelcomeInfo& welcome) override;
  void on_sip(std::string message) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_link_lost(wire::CloseCode code, const std::string& reason,
                    Duration will_retry_in) override;
  void on_link_back(const wire::WelcomeInfo& welcome, Duration gap) override;
  void on_go_away(const std::string& reason, Duration deadline) override;
  bool may_leave() const override { return calls_.empty(); }
  void on_closed(wire::CloseCode code, const std::string& reason,
                 std::optional<Duration> will_retry_in) override;

 private:
  struct Entry {
    std::shared_ptr<CallMedia> media;  ///< not before an incoming call is answered
    std::optional<ua::AgreedMedia> agreed;
    Instant began{};
    std::optional<Instant> answered;
  };

  Outcome<ua::UserAgentOptions> user_agent_options() const;
  std::shared_ptr<CallMedia> make_media(std::uint64_t id, AudioEnds ends);
  Call handle(std::uint64_t id) { return {weak_from_this(), id}; }
  Entry* find(std::uint64_t id);
  void start_media(std::uint64_t id, Entry& entry);
  void pump();
  void act(ua::SendSip& event);
  void act(ua::RegistrationChanged& event);
  void act(ua::IncomingCall& event);
  void act(ua::CallChanged& event);
  void act(ua::MediaChanged& event);
  void act(ua::DigitReceived& event);
  void leave();
  void release();
  void end_call(std::uint64_t id);
  void arm_timer();
  void arm_statistics();
  CallStatistics statistics_of(const Entry& entry) const;
  Outcome<void> outcome_of(const Result<void, ua::UaError>& result);

  ClientOptions options_;
  ClientHandlers handlers_;
  IoThread thread_;
  net::SystemRandom random_;
  std::unique_ptr<net::ClientConnection> connection_;
  std::unique_ptr<ua::UserAgent> user_agent_;
  wire::WelcomeInfo welcome_;
  ua::Outputs outputs_;
  bool pumping_ = false;
  bool leaving_ = false;    ///< disconnect() waits for the last answers
  bool finishing_ = false;  ///< and nothing comes after it
  boost::asio::steady_timer timer_, statistics_timer_, leave_timer_;
  std::map<std::uint64_t, Entry> calls_;
  std::unordered_map<std::uint32_t, std::uint64_t> channels_;  ///< ours, RTP and RTCP → call
  std::map<std::uint64_t, CallStatistics> ended_;  ///< of the last calls, for those who ask late
};

}  // namespace isthmus::detail
