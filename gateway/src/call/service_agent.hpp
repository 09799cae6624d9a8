#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "call/bridge_core.hpp"
#include "call/deadlines.hpp"
#include "sdp/session_description.hpp"
#include "sip/dialog.hpp"

namespace isthmus::call {

/// A user agent server of the gateway's own: answers calls to the `echo` and `tone` services (RFC
/// 3261 §13.3). One audio stream a call; other m= lines are refused with port 0 (RFC 3264 §6).
/// Internal to the room.
class ServiceAgent {
 public:
  static constexpr const char* kAllow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";

  explicit ServiceAgent(BridgeCore& core) : core_(core) {}
  ~ServiceAgent();

  void start(sip::TransactionId server, const sip::Flow& flow, const sip::Message& invite,
             MediaService service);
  bool on_dialog_request(sip::TransactionId server, const sip::Flow& flow,
                         const sip::Message& request);
  bool on_ack(const sip::Flow& flow, const sip::Message& ack);
  void on_session_closed(std::uint64_t session);
  bool end_call(CallId id, std::string_view reason);
  void on_timeout();  ///< 2xx retransmission until ACK
  std::optional<Instant> next_deadline() const { return repeats_.next(); }
  void sweep();  ///< silent calls end after BridgeConfig::media_timeout

  std::size_t size() const { return calls_.size(); }
  std::vector<CallRecord> records() const;

 private:
  struct ServiceCall {
    CallId id = 0;
    std::string token;
    sip::Flow flow;
    sip::TransactionId server = 0;
    sip::Message invite = sip::Message::request("INVITE", "sip:invalid.invalid");  ///< the last one
    sip::Message answer = sip::Message::response(200);
    sip::Dialog dialog;
    DialogPeers::Held peers;  ///< hosts that its dialog leads to
    MediaService service = MediaService::echo;
    LocalMedia client;  ///< toward the caller
    LocalMedia player;  ///< the service's end
    std::uint64_t sdp_version = 1;
    bool we_offered = false;
    bool acknowledged = false;
    bool held = false;
    Duration resend_after{};
    Instant started{}, give_up_at{};
  };

  std::optional<MediaFault> open_media(ServiceCall& call);
  Result<std::string, MediaFault> answer_offer(ServiceCall& call, std::string_view offer);
  std::string make_offer(ServiceCall& call);
  std::optional<MediaFault> take_answer(ServiceCall& call, std::string_view sdp);
  void add_contact(const ServiceCall& call, sip::Message& response) const;
  void send_answer(ServiceCall& call, const std::string& sdp);
  void on_reinvite(ServiceCall& call, sip::TransactionId server, const sip::Message& request);
  void look_ahead(ServiceCall& call);
  void hang_up(ServiceCall& call, int cause, std::string_view reason);
  void end(ServiceCall& call, std::string_view reason);
  CallRecord record_of(const ServiceCall& call) const;
  ServiceCall* find(const sip::Flow& flow, const sip::Message& request);
  bool refuse_body(sip::TransactionId server, const sip::Message& request);
  bool refuse_extensions(sip::TransactionId server, const sip::Message& invite);

  BridgeCore& core_;
  CallId next_id_ = CallId{1} << 48;  ///< apart from the CallManager's
  std::unordered_map<std::string, std::unique_ptr<ServiceCall>> calls_;  ///< by token
  std::unordered_multimap<std::string, ServiceCall*> by_call_id_;
  Deadlines<std::string> repeats_;  ///< by token: when the 2xx goes again, or is given up
};

}  // namespace isthmus::call
