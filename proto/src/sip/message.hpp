#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "sip/fault.hpp"
#include "sip/names.hpp"
#include "sip/uri.hpp"
#include "sip/values.hpp"

namespace isthmus::sip {

/// A SIP request or response over one owned buffer (RFC 3261 §7).
///
/// `parse` finds the start line, every header field and the body once and keeps offsets; a value is
/// parsed when it is asked for. Unchanged messages serialise byte for byte as they came, unknown
/// headers, order, spelling, compact forms and folding included. An edited or added header field is
/// written anew in its place, all others are copied as they came. Views returned by accessors live
/// as long as the message is neither changed nor moved. Values are without leading and trailing
/// space; folded lines (RFC 3261 §7.3.1) come as one line, joined by one space. Copyable, movable;
/// no thread rules of its own.
class Message {
 public:
  Message() = default;  ///< nothing yet; to be assigned to

  /// @param bytes  the whole message: a datagram or a link frame. Leading CRLFs are skipped (§7.5).
  /// Bare LF
  ///   line ends are accepted. Content-Length may be absent, then the body is the rest; surplus
  ///   bytes after it are cut (§18.3); a larger one is a fault.
  /// @return the message, or the first structural fault. Header values are not judged: see check(),
  /// which
  ///   also judges the SIP version and stray spaces in a request line, so that they can be
  ///   answered.
  static Result<Message, Fault> parse(std::string bytes);

  /// A message of our own, without headers. @param method a token; @param uri any URI text.
  static Message request(std::string_view method, std::string_view uri);
  /// @param reason empty: the default phrase of the status.
  static Message response(int status, std::string_view reason = {});
  /// Response to a request by RFC 3261 §8.2.6: Via (all), From, To, Call-ID, CSeq copied; Timestamp
  /// for 100.
  /// @param to_tag added to To if it has none and this is not empty.
  static Message response_to(const Message& request, int status, std::string_view reason = {},
                             std::string_view to_tag = {});

  /// Mandatory headers present, once, and well-formed: Via, From, To, Call-ID, CSeq (method
  /// matching), and when present Max-Forwards, Contact, Content-Length, Expires, Route,
  /// Record-Route; Request-URI is a URI without spaces or brackets. Nothing if the message is
  /// sound.
  std::optional<Fault> check() const;

  bool is_request() const { return request_; }
  bool is_response() const { return !request_; }
  Method method() const {
    return method_;
  }  ///< of a response: that of its CSeq, unknown if it has none
  std::string_view method_text() const;   ///< same, as text
  std::string_view request_uri() const;   ///< "" for responses
  int status() const { return status_; }  ///< 0 for requests
  std::string_view reason() const;        ///< reason phrase, "" for requests

  struct Field {
    HeaderId id;
    std::string_view name;  ///< as written
    std::string_view value;
  };
  std::size_t field_count() const;
  Field field(std::size_t index) const;  ///< in message order

  /// First field of that name; nothing if absent.
  std::optional<std::string_view> get(HeaderId id) const;
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(HeaderId id) const { return get(id).has_value(); }
  /// Every value of a list header in order: fields in message order, each split at commas
  /// (split_list). Not for headers whose values hold bare commas (WWW-Authenticate, Authorization,
  /// Date): use fields().
  std::vector<std::string_view> values(HeaderId id) const;
  /// Every field of that name in order, unsplit.
  std::vector<std::string_view> fields(HeaderId id) const;
  std::vector<std::string_view> fields(std::string_view name) const;

  // Values parsed when asked. A missing header is a Fault{missing_header}.
  Result<Via, Fault> top_via() const;
  Result<CSeq, Fault> cseq() const;
  Result<NameAddr, Fault> from() const;
  Result<NameAddr, Fault> to() const;
  Result<NameAddr, Fault> contact() const;  ///< the first
  std::string_view call_id() const;         ///< "" if absent
  std::string from_tag() const;             ///< "" if absent
  std::string to_tag() const;               ///< "" if absent
  std::optional<std::uint32_t> number(
      HeaderId id) const;  ///< Max-Forwards, Expires, Min-Expires, RSeq...
  /// Whether a comma list of tokens (Require, Supported, Allow) holds this one, without regard to
  /// case.
  bool lists(HeaderId id, std::string_view token) const;

  std::string_view body() const;
  /// Media type without parameters, lower case: "application/sdp"; "" without a body type.
  std::string content_type() const;

  // Edits. Arguments may be views into this message. Line ends in a value become spaces, so that no
  // value adds a header field; spaces and control characters in a Request-URI are escaped.
  void set_request_uri(std::string_view uri);
  void set_status(int status, std::string_view reason);
  /// Replaces the first field of that name and removes the others; appends when there is none.
  void set(HeaderId id, std::string_view value);
  void set(std::string_view name, std::string_view value);
  /// Appends after all other headers.
  void add(HeaderId id, std::string_view value);
  void add(std::string_view name, std::string_view value);
  /// Inserts before the first field of that name, or before all headers.
  void prepend(HeaderId id, std::string_view value);
  /// Replaces the value of one field, found by its index; its name keeps its spelling.
  void set_field(std::size_t index, std::string_view value);
  void remove(HeaderId id);
  void remove(std::string_view name);
  /// Removes the first value of a list header, leaving the rest of its field (top Via of a
  /// response).
  void remove_first_value(HeaderId id);
  /// Replaces the first value of a list header, leaving the rest of its field (received and rport
  /// on the top Via).
  void set_first_value(HeaderId id, std::string_view value);
  /// Content-Length follows; Content-Type is set when given, removed when the body is empty.
  void set_body(std::string_view body, std::string_view content_type = {});

  /// The message as it goes on the wire. Byte for byte the input if nothing was changed and nothing
  /// was cut. Of a changed message, Content-Length is added (after all other headers) when it is
  /// missing, and corrected when it is wrong.
  std::string serialize() const;
  /// Never less than what serialize() gives; costs nothing.
  std::size_t most_bytes() const { return buffer_.size() + kContentLengthBytes; }

 private:
  static constexpr std::size_t kContentLengthBytes = 32;  ///< "Content-Length: 4294967295\r\n"

  /// A stretch of buffer_.
  struct Span {
    std::uint32_t begin = 0, end = 0;
  };
  /// Each line that goes on the wire stands whole in buffer_: where it came, or appended behind the
  /// message when it was edited or added. Unfolded values are appended too; their lines stay as
  /// they came.
  struct FieldSlot {
    HeaderId id = HeaderId::other;
    Span line;  ///< with its line end; the name begins it
    std::uint32_t name_end = 0;
    Span value;
  };

  std::string_view text(Span span) const {
    return std::string_view(buffer_).substr(span.begin, span.end - span.begin);
  }
  std::string_view name_of(const FieldSlot& slot) const {
    return text({slot.line.begin, slot.name_end});
  }
  const FieldSlot* find(HeaderId id) const;
  bool matches(const FieldSlot& slot, HeaderId id, std::string_view name) const;

  // Parsing: message.cpp.
  std::optional<Fault> parse_start_line(std::uint32_t end);
  std::optional<Fault> parse_request_line(Span line);
  std::optional<Fault> parse_status_line(Span line);
  std::optional<Fault> parse_fields(bool& bare_line_feed);
  std::optional<Fault> parse_field(std::uint32_t begin, std::uint32_t end, bool folded);
  std::optional<Fault> find_body();
  Span unfold(Span value);
  void refresh_method();

  // Editing: message_edit.cpp.
  std::string_view keep(std::string_view view, std::string& storage) const;
  FieldSlot write_line(HeaderId id, std::string_view name, std::string_view value);
  void rewrite(std::size_t index, std::string_view value);
  void set_first(HeaderId id, std::string_view name, std::string_view value);
  void remove_all(HeaderId id, std::string_view name);
  void write_request_line(std::string_view method, std::string_view uri);
  void write_status_line(int status, std::string_view reason);

  // Judging: message_check.cpp.
  std::optional<Fault> check_start_line() const;
  std::optional<Fault> check_presence() const;
  std::optional<Fault> check_field(const FieldSlot& slot) const;

  std::string buffer_;  ///< what came, then what was appended
  std::vector<FieldSlot> fields_;
  Span start_line_;   ///< with its line end
  Span method_text_;  ///< of a response: within its CSeq
  Span uri_or_reason_;
  Span blank_line_;  ///< the line end between headers and body
  Span body_;
  Method method_ = Method::unknown;
  int status_ = 0;
  bool request_ = true;
  bool start_sound_ = true;       ///< false: stray spaces around the request line's parts
  bool foreign_version_ = false;  ///< well-formed, but not SIP/2.0
  bool changed_ = false;
};

}  // namespace isthmus::sip
