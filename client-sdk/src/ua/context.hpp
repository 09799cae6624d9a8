#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sip/digest.hpp"
#include "sip/message.hpp"
#include "sip/transaction_layer.hpp"
#include "ua/events.hpp"
#include "ua/user_agent.hpp"

/// What the parts of a user agent share. Private to this room.
namespace isthmus::ua {

inline constexpr std::string_view kAllow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";
inline constexpr std::string_view kSdpType = "application/sdp";

struct Context {
  Context(UserAgentOptions with, Random& source)
      : options(std::move(with)),
        random(source),
        host(source.token(12) + ".invalid"),
        aor(options.aor),
        layer(options.timers, source) {}

  UserAgentOptions options;
  Random& random;
  std::string host;  ///< Via sent-by and Contact host: no one resolves it (PROTOCOL.md §7)
  std::string aor;
  sip::TransactionLayer layer;
  sip::TransactionEvents events;
  std::optional<sip::DigestClient> digest;
  bool link_up = false;
  std::uint64_t session = 0;  ///< counts links, so that nothing of an earlier one matches
  Instant now{};
  Outputs* out = nullptr;

  sip::Flow flow() const { return sip::Flow::link(session); }
  std::string user() const;  ///< as in the address of record, escapes kept
  std::string contact_uri() const;
  std::string contact() const { return '<' + contact_uri() + '>'; }
  std::string from(std::string_view tag) const;

  /// A request outside dialogs, with Contact.
  sip::Message new_request(std::string_view method, std::string_view uri, std::string_view to_uri,
                           std::string_view from_tag, std::string_view call_id, std::uint32_t cseq);
  /// @return 0: too many transactions are open, nothing was sent
  sip::TransactionId send(sip::Message request) {
    return layer.send_request(std::move(request), flow(), host, now, events);
  }
  /// The challenged request again, with the next CSeq number and credentials.
  /// @return nothing when there are none, or they were refused
  std::optional<sip::Message> authorized(const sip::Message& request, const sip::Message& response);

  void respond(sip::TransactionId server, sip::Message response) {
    layer.respond(server, std::move(response), now, events);
  }
  /// A response of our own to a request; to_tag only where it lacks one.
  sip::Message response_to(const sip::Message& request, int status, std::string_view reason = {},
                           std::string_view to_tag = {});
  void reject(sip::TransactionId server, const sip::Message& request, int status,
              std::string_view reason = {}, std::string_view to_tag = {}) {
    respond(server, response_to(request, status, reason, to_tag));
  }
  void emit(Output output) { out->push_back(std::move(output)); }
};

}  // namespace isthmus::ua
