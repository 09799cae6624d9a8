#pragma once
#include <string>
#include <vector>

/// Descriptions in the manner of the programs and phones that Isthmus meets, by field order,
/// attributes and habits.
namespace isthmus::sdp::samples {

/// CRLF for each newline of a raw string.
inline std::string crlf(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return result;
}

inline const std::string kBaresip = crlf(R"(v=0
o=- 3869246013 1245368951 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
a=tool:baresip 1.0.0
m=audio 23456 RTP/AVP 96 0 8 101
b=AS:128
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:23457 IN IP4 192.0.2.10
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:1417246917 cname:sip:alice@example.com
a=ptime:20
)");

inline const std::string kAsterisk = crlf(R"(v=0
o=- 1653931834 1653931836 IN IP4 198.51.100.7
s=Asterisk
c=IN IP4 198.51.100.7
t=0 0
m=audio 14730 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:150
a=sendrecv
)");

/// An analogue adapter: no a=rtpmap for static types, the address per section, X- attributes.
inline const std::string kAnalogueAdapter = crlf(R"(v=0
o=Cisco-ATA line 1 25680 25680 IN IP4 203.0.113.5
s=ATA186 Call
t=0 0
m=audio 16384 RTP/AVP 18 0 4 101
c=IN IP4 203.0.113.5/127
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=X-sqn:0
a=X-cap: 1 audio RTP/AVP 100
a=nortpproxy:yes
)");

inline const std::string kWebRtc = crlf(R"(v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:4ZcD
a=ice-pwd:2/1muCWoOi3uLifh0NuRHlTa
a=ice-options:trickle
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1001 cname:J8Fw
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
)");

/// A re-INVITE to fax: the audio stream closed, without a c= of its own, the T.38 stream with one.
inline const std::string kFax = crlf(R"(v=0
o=gw 7001 7002 IN IP4 198.51.100.20
s=fax
t=0 0
m=audio 0 RTP/AVP 0
m=image 4100 udptl t38
c=IN IP4 198.51.100.20
a=T38FaxVersion:0
a=T38MaxBitRate:14400
a=T38FaxRateManagement:transferredTCF
a=T38FaxMaxBuffer:262
a=T38FaxMaxDatagram:176
a=T38FaxUdpEC:t38UDPRedundancy
)");

inline const std::string kIpv6Video = crlf(R"(v=0
o=- 1 1 IN IP6 2001:db8::5
s=Call
i=A conversation
u=http://example.com/
e=alice@example.com
p=+1 617 555-6011
c=IN IP6 2001:db8::5
b=CT:1024
t=2873397496 2873404696
r=7d 1h 0 25h
z=2882844526 -1h 2898848070 0
k=prompt
a=sendonly
m=audio 49170/2 RTP/AVP 0
i=Sound
m=video 51372 RTP/AVPF 99 31
a=rtpmap:99 H264/90000
a=fmtp:99 profile-level-id=42e01f;packetization-mode=1
a=rtcp:53020 IN IP6 2001:db8::6
a=inactive
)");

/// LF alone, no s= and t=, spaces at line ends, no end of the last line.
inline const std::string kSloppyPhone =
    "v=0\no= 0 0 IN IP4 10.0.0.3\nc=IN IP4 10.0.0.3 \nm=audio 5004 RTP/AVP  0  8 \na=sendrecv "
    "\na=ptime: 30";

/// Blank lines at the end, as from a body padded by its Content-Length.
inline const std::string kBlankTail = kAsterisk + "\r\n\n\r\n";

inline const std::vector<std::pair<const char*, std::string>>& all() {
  static const std::vector<std::pair<const char*, std::string>> kAll = {{"baresip", kBaresip},
                                                                        {"asterisk", kAsterisk},
                                                                        {"ata", kAnalogueAdapter},
                                                                        {"webrtc", kWebRtc},
                                                                        {"fax", kFax},
                                                                        {"ipv6_video", kIpv6Video},
                                                                        {"sloppy", kSloppyPhone},
                                                                        {"blank_tail", kBlankTail}};
  return kAll;
}

}  // namespace isthmus::sdp::samples
