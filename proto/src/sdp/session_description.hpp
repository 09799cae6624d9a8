#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace isthmus::sdp {

enum class FaultCode : std::uint8_t {
  too_large,
  too_many_lines,
  too_many_media,
  not_a_line,
  wrong_first_line,
  bad_origin,
  bad_connection,
  bad_media,
  bad_port,
  bad_rtcp,
  missing_connection,
};

/// What is wrong with a description, and in which line (1-based).
struct Fault {
  FaultCode code = FaultCode::not_a_line;
  std::size_t line = 0;        ///< 0: the description as a whole
  char type = 0;               ///< letter before '=' of that line, 0 if it has none
  std::string reason() const;  ///< as "Malformed SDP line 7 (m=): port is not a number"
};

/// "c=IN IP4 192.0.2.1" (RFC 8866 §5.7). A host name or unknown address type leaves `ip` empty.
struct Connection {
  std::string address_type;  ///< "IP4", "IP6"
  std::string address;       ///< as written, TTL and count included
  std::optional<IpAddress> ip;
};

enum class Direction : std::uint8_t { sendrecv, sendonly, recvonly, inactive };
Direction reversed(Direction direction);

struct RtpMap {
  std::uint8_t payload_type = 0;
  std::string encoding;  ///< as written: "PCMU", "opus", "telephone-event"
  std::uint32_t clock_rate = 0;
  std::uint32_t channels = 1;
};

/// A session description (RFC 8866) that keeps every line it does not change, in order, unknown
/// ones included, byte for byte. Lines may end in CRLF or LF; each keeps its end. What real phones
/// leave out or add is accepted and kept: no s= or t=, no end of the last line, blank lines at the
/// end, spaces at line ends, spaces in the user name of o=, a closed stream (port 0) without
/// formats or without any c=.
///
/// Text given to a setter loses CR, LF and NUL, so that no value can become a line of its own. Not
/// thread-safe.
class SessionDescription {
 public:
  struct Line {
    char type = 0;
    std::string value;
    std::string ending = "\r\n";
  };

  /// One m= section: the m= line and the lines after it.
  class Media {
   public:
    std::string type() const;      ///< "audio", "video", "image", "text", "application"
    std::uint16_t port() const;    ///< 0: refused or disabled (RFC 3264 §6)
    std::string protocol() const;  ///< "RTP/AVP", "RTP/SAVP", "udptl"
    std::vector<std::string> formats() const;
    void set_port(std::uint16_t port);  ///< a "/count" is dropped
    void set_protocol(std::string_view protocol);
    void set_formats(const std::vector<std::string>& formats);

    std::optional<Connection> connection() const;  ///< of this section only
    std::optional<Direction> direction() const;    ///< of this section only
    /// a=rtcp (RFC 3605): port, and the address when written.
    std::optional<std::uint16_t> rtcp_port() const;
    std::optional<IpAddress> rtcp_address() const;
    bool rtcp_mux() const;  ///< a=rtcp-mux (RFC 5761)
    /// In the order of formats(); static types (RFC 3551 §6) without an a=rtpmap are filled in,
    /// dynamic ones without it left out.
    std::vector<RtpMap> rtpmaps() const;
    /// Of the first format; 0 when it is not known, or this is no RTP.
    std::uint32_t first_clock_rate() const;
    std::optional<std::string> fmtp(std::uint8_t payload_type) const;
    std::optional<std::uint32_t> ptime_ms() const;

    /// First attribute of that name: value, "" for a flag, nothing if absent.
    std::optional<std::string> attribute(std::string_view name) const;
    void set_attribute(std::string_view name,
                       std::string_view value);  ///< replaces the first or appends
    void add_attribute(std::string_view name, std::string_view value);
    void remove_attribute(std::string_view name);  ///< all of that name
    void remove_connection();
    void set_direction(Direction direction);

    const std::vector<Line>& lines() const { return lines_; }

   private:
    friend class SessionDescription;
    explicit Media(Line line) { lines_.push_back(std::move(line)); }
    bool is_rtp() const;
    std::optional<RtpMap> map_of(std::uint8_t payload_type) const;

    std::vector<Line> lines_;  ///< [0] is the m= line, always there
  };

  SessionDescription() = default;  ///< no lines at all: a place to assign a description to
  /// Bounded by limits::kSdpBytes, kSdpLines and kSdpMediaLines. `to_string()` of the result is
  /// `text`.
  static Result<SessionDescription, Fault> parse(std::string_view text);
  /// A description of our own: v, o, s, c, t. Media by add_media().
  static SessionDescription make(std::uint64_t session_id, std::uint64_t version,
                                 const IpAddress& address);

  std::vector<Media>& media() { return media_; }
  const std::vector<Media>& media() const { return media_; }
  Media& add_media(std::string_view type, std::uint16_t port, std::string_view protocol,
                   const std::vector<std::string>& formats);

  std::optional<Connection> connection() const;  ///< session level
  /// The connection that holds for a section: its own, or the session's.
  std::optional<Connection> connection_of(const Media& media) const;
  Direction direction_of(const Media& media) const;  ///< section, session, or sendrecv
  std::string origin() const;                        ///< value of o=
  /// o= session version (RFC 8866 §5.2), and one to put in its place.
  std::optional<std::uint64_t> origin_version() const;
  void set_origin_version(std::uint64_t version);
  void set_origin_address(const IpAddress& address);

  /// Puts one address everywhere media or RTCP is said to be received: the session's c= (added when
  /// neither it nor every section has one), and every section's c= and a=rtcp address; a multicast
  /// TTL and count go. Ports and o= stay. An on-hold 0.0.0.0 (RFC 2543 hold) or :: stays as it is,
  /// and so does a c= of a network other than IN.
  void set_address(const IpAddress& address);

  std::optional<std::string> session_attribute(std::string_view name) const;
  void remove_session_attribute(std::string_view name);
  const std::vector<Line>& session_lines() const { return session_; }
  std::string to_string() const;

 private:
  std::vector<Line> session_;
  std::vector<Media> media_;
  std::string trailer_;  ///< blank lines after the last line
};

}  // namespace isthmus::sdp
