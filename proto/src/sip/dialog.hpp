#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sip/message.hpp"

namespace isthmus::sip {

/// The state that a user agent keeps for one dialog (RFC 3261 §12), as either side.
struct Dialog {
  std::string call_id;
  std::string local_tag, remote_tag;
  std::string local_party, remote_party;  ///< From/To values with their tags, ours and theirs
  std::string remote_target;              ///< their Contact URI
  std::vector<std::string> route_set;     ///< name-addr texts in the order they go into Route
  std::uint32_t local_cseq = 0;
  std::uint32_t remote_cseq = 0;  ///< 0: none seen
  bool secure = false;

  /// From the request we sent and a 101-299 response with a To tag (§12.1.2).
  static Dialog as_uac(const Message& request, const Message& response);
  /// From the request we got and our To tag (§12.1.1).
  static Dialog as_uas(const Message& request, std::string_view local_tag);

  /// A request within the dialog (§12.2.1.1): Request-URI and Route by loose or strict routing,
  /// From, To, Call-ID, CSeq (counted up, but for ACK which takes `ack_cseq`), Max-Forwards. No
  /// Via, no Contact.
  Message request(std::string_view method, std::uint32_t ack_cseq = 0);

  /// Takes a target refresh (§12.2): the Contact of an in-dialog INVITE/UPDATE or its 2xx.
  void refresh_target(const Message& message);
  /// Checks and stores the CSeq of an in-dialog request. @return false when it is out of order
  /// (answer 500).
  bool accept_remote_cseq(std::uint32_t number);
  bool matches(const Message& in_dialog_request) const;
};

}  // namespace isthmus::sip
