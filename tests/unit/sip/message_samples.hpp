#pragma once
#include <string>
#include <string_view>

#include "sip/message.hpp"

namespace isthmus::sip::samples {

/// Text with LF line ends, as raw strings have them, with the CRLF of the wire.
inline std::string crlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

/// Everything but a body: an INVITE with compact forms, folding, a list Via and headers nobody
/// knows.
inline std::string invite() {
  return crlf(
      "INVITE sip:bob@example.net;user=phone SIP/2.0\n"
      "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa1;rport, SIP/2.0/TCP "
      "[2001:db8::7];branch=z9\n"
      "v: SIP / 2.0 / TLS proxy.example.org\n"
      "mAx-fOrWards: 70\n"
      "f: \"Alice, A.\" <sip:alice@example.org;lr>;tag=from-1\n"
      "To : Bob <sip:bob@example.net>\n"
      "i:  call-1@192.0.2.1  \n"
      "CSeq: 0042\n"
      "\t INVITE\n"
      "X-Unknown:;;,,;\n"
      "m: <sip:alice@192.0.2.1:5070;transport=udp>;expires=60\n"
      "Supported: 100rel, timer\n"
      "k: replaces\n"
      "Subject:\n"
      "c: application/sdp;charset=utf-8\n"
      "l: 5\n"
      "\n"
      "v=0\n");
}

/// A sound request that a test edits with plain text replacement.
inline std::string options() {
  return crlf(
      "OPTIONS sip:b@example.net SIP/2.0\n"
      "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\n"
      "Max-Forwards: 70\n"
      "From: <sip:a@example.org>;tag=1\n"
      "To: <sip:b@example.net>\n"
      "Call-ID: c1\n"
      "CSeq: 1 OPTIONS\n"
      "Content-Length: 0\n"
      "\n");
}

/// options() with one stretch of text replaced.
inline std::string options_with(std::string_view what, std::string_view by) {
  std::string text = options();
  const std::size_t at = text.find(what);
  return at == std::string::npos ? std::string() : text.replace(at, what.size(), by);
}

/// The reason phrase of the fault in a message; "" when it is sound.
inline std::string verdict(const std::string& bytes) {
  const auto message = Message::parse(bytes);
  if (!message) return "unparsed: " + message.error().reason();
  const auto fault = message->check();
  return fault ? fault->reason() : std::string();
}

}  // namespace isthmus::sip::samples
