#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sip/message.hpp"

namespace isthmus::call {

/// Takes off what belongs to one hop only: all Via, Route and Record-Route fields. Max-Forwards
/// goes down by one (70 put in when absent, RFC 3261 §16.6 step 3).
void make_outgoing_request(sip::Message& request);

/// Turns the response of one leg into the response to the other leg's request: that request's Via
/// fields (RFC 3261 §8.2.6.2) and, where a dialog may come of it, its Record-Route fields
/// (§12.1.1).
void make_outgoing_response(sip::Message& response, const sip::Message& request);

/// From of a request as it was sent, with the tag that it came with, if routing changed its URI or
/// display name; else empty.
std::string changed_from(const sip::Message& came, const sip::Message& sent);

/// Puts our own URI in every Contact of a message, keeping display name and header parameters; "*"
/// stays.
void replace_contact(sip::Message& message, std::string_view uri);

/// URI at which who sent a response is reached; empty if it does not say. A redirection names
/// places to try in its stead (RFC 3261 §21.3): only a bare address there may be its sender's own,
/// a name may be anybody's address of record.
std::string responder_uri(const sip::Message& response);

bool is_sips(std::string_view uri);
/// RFC 3261 §8.1.2: its Request-URI or topmost Route is a SIPS URI.
bool asks_for_tls(const sip::Message& request);
/// §12.1.1: whether the Contact of who answers this request has to be one: by its Request-URI, its
/// topmost Record-Route or, without any, its Contact.
bool asks_secure_contact(const sip::Message& request);

/// User part of the Request-URI; empty if it is no sip URI or has none.
std::string request_user(const sip::Message& request);

/// URI of From or To; empty if there is none.
std::string party_uri(const sip::Message& message, sip::HeaderId id);

/// Record-Route of a request or response as the route set of the side that did (reversed) or did
/// not send it.
std::vector<std::string> record_route(const sip::Message& message, bool reversed);

/// A Reason header value (RFC 3326), as `SIP;cause=503;text="Link lost"`.
std::string reason_value(int cause, std::string_view text);

}  // namespace isthmus::call
