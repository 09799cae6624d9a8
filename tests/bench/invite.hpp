#pragma once
#include <string>

namespace isthmus::bench {

/// An INVITE as a desk phone sends it, with a description of three codecs.
inline std::string invite(const std::string& call_id = "a84b4c76e66710@10.0.0.7") {
  std::string sdp =
      "v=0\r\no=- 20518 0 IN IP4 192.0.0.8\r\ns=call\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
      "m=audio 16 RTP/AVP 0 8 96 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
      "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:101 "
      "telephone-event/8000\r\n"
      "a=fmtp:101 0-15\r\na=ptime:20\r\na=rtcp:17 IN IP4 192.0.0.8\r\na=sendrecv\r\n";
  return "INVITE sip:bob@example.org SIP/2.0\r\n"
         "Via: SIP/2.0/TLS alice.invalid;branch=z9hG4bK" +
         call_id.substr(0, 12) +
         "\r\n"
         "Max-Forwards: 70\r\n"
         "From: \"Alice\" <sip:alice@example.org>;tag=9fxced76sl\r\n"
         "To: <sip:bob@example.org>\r\n"
         "Call-ID: " +
         call_id +
         "\r\n"
         "CSeq: 1 INVITE\r\n"
         "Contact: <sip:alice@alice.invalid;transport=tls>\r\n"
         "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, MESSAGE, "
         "SUBSCRIBE\r\n"
         "Supported: replaces, timer, gruu, outbound\r\n"
         "User-Agent: Example Phone/7.2.1\r\n"
         "Content-Type: application/sdp\r\n"
         "Content-Length: " +
         std::to_string(sdp.size()) + "\r\n\r\n" + sdp;
}

}  // namespace isthmus::bench
