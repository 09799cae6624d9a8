#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.hpp"
#include "sip/fault.hpp"

namespace isthmus::sip {

/// Cuts SIP messages out of a byte stream (RFC 3261 §18.3): a message ends Content-Length bytes
/// behind its header section, and on a stream the header is mandatory (§20.14). Between messages
/// stand line ends and the keep-alives of RFC 5626 §4.4.1. Pure; holds at most one unfinished
/// message, bounded, and looks at each byte once however the input is split.
///
/// feed(), then next() until it says `none`. After a fault the boundaries are lost: the connection
/// is to be closed, and next() says `none` from then on.
class StreamFramer {
 public:
  enum class Kind : std::uint8_t {
    none,      ///< nothing whole has come
    message,   ///< `bytes` is a message; Message::parse() and check() judge it
    line_end,  ///< one CRLF: space before a message, or half a ping
    pong,      ///< the first CRLF after expect_pong()
    ping,      ///< two CRLFs in a row: to be answered with one
    fault,     ///< `fault` says why; `bytes` is what came of the message, to answer it by
  };
  struct Item {
    Kind kind = Kind::none;
    std::string_view bytes;  ///< valid until the next feed()
    Fault fault;
  };

  /// @param most_bytes  of one message, header section and body together
  explicit StreamFramer(std::size_t most_bytes = limits::kSipMessageBytes)
      : most_bytes_(most_bytes) {}

  void feed(std::string_view bytes);
  Item next();

  /// A ping was sent: the next CRLF is its pong and does not count as half a ping.
  void expect_pong() { pong_expected_ = true; }
  /// Part of a message has come, and more of it must.
  bool in_message() const { return state_ != State::between; }
  std::size_t buffered_bytes() const { return buffer_.size() - begin_; }

 private:
  enum class State : std::uint8_t { between, headers, body, failed };

  std::optional<Item> skip_line_ends();
  std::optional<Item> scan_headers();
  void take_line(std::string_view line);
  void end_length();
  Item end_of_headers();
  Item fail(FaultCode code, HeaderId header = HeaderId::other);

  std::size_t most_bytes_;
  std::string buffer_;
  std::size_t begin_ = 0;  ///< of the present message
  std::size_t line_ = 0;   ///< of the present header line
  std::size_t scan_ = 0;   ///< where the search for its end goes on
  std::size_t total_ = 0;  ///< of the present message, once its headers are whole
  State state_ = State::between;
  unsigned line_ends_ = 0;  ///< CRLFs in a row between messages
  bool pong_expected_ = false;
  bool start_line_ = true;   ///< the present line is a message's first
  bool in_length_ = false;   ///< the last header line was Content-Length; folds may follow
  bool length_bad_ = false;  ///< no number, or two that differ
  std::string length_text_;  ///< of the Content-Length being read
  std::optional<std::uint32_t> length_;
};

}  // namespace isthmus::sip
