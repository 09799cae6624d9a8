#include "sip/stream_framer.hpp"

#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

constexpr std::size_t kLengthTextBytes = 64;  // ten digits and some space

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

}  // namespace

void StreamFramer::feed(std::string_view bytes) {
  if (state_ == State::failed) return;
  if (begin_ > 0) {  // what is left is part of one message, and came with the last feed
    buffer_.erase(0, begin_);
    line_ -= begin_;
    scan_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
}

StreamFramer::Item StreamFramer::next() {
  if (state_ == State::failed) return {};
  if (state_ == State::between) {
    if (auto item = skip_line_ends()) return *item;
    if (begin_ == buffer_.size()) return {};
    // Anything else than a method or "SIP/2.0" is no SIP, and need not be waited for.
    if (!scan::is_token(std::string_view(buffer_).substr(begin_, 1))) {
      return fail(FaultCode::bad_start_line);
    }
    state_ = State::headers;
    line_ = scan_ = begin_;
    line_ends_ = 0;
    start_line_ = true;
    in_length_ = length_bad_ = false;
    length_.reset();
  }
  if (state_ == State::headers) {
    if (auto item = scan_headers()) return *item;
  }
  if (state_ != State::body || buffer_.size() - begin_ < total_) return {};
  Item item{Kind::message, std::string_view(buffer_).substr(begin_, total_), {}};
  begin_ += total_;
  line_ = scan_ = begin_;
  state_ = State::between;
  return item;
}

/// @return a keep-alive; {none} inside when a CR waits for its LF; nothing when a message begins
/// or all is read.
std::optional<StreamFramer::Item> StreamFramer::skip_line_ends() {
  while (begin_ < buffer_.size()) {
    const char c = buffer_[begin_];
    if (c == '\n') {  // bare, as the parser takes it too
      ++begin_;
      continue;
    }
    if (c != '\r') break;
    if (begin_ + 1 == buffer_.size()) return Item{};
    if (buffer_[begin_ + 1] != '\n') return fail(FaultCode::bad_start_line);
    begin_ += 2;
    if (pong_expected_) {
      pong_expected_ = false;
      line_ends_ = 0;
      return Item{Kind::pong, {}, {}};
    }
    if (++line_ends_ == 2) {
      line_ends_ = 0;
      return Item{Kind::ping, {}, {}};
    }
    return Item{Kind::line_end, {}, {}};
  }
  return std::nullopt;
}

/// @return what stops here; nothing when the header section is whole.
std::optional<StreamFramer::Item> StreamFramer::scan_headers() {
  while (true) {
    const std::size_t end = buffer_.find('\n', scan_);
    const std::size_t seen = end == std::string::npos ? buffer_.size() : end + 1;
    if (seen - line_ > limits::kSipHeaderBytes) return fail(FaultCode::header_too_long);
    if (seen - begin_ > most_bytes_) return fail(FaultCode::too_large);
    scan_ = seen;
    if (end == std::string::npos) return Item{};
    std::string_view line = std::string_view(buffer_).substr(line_, end - line_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    line_ = scan_;
    if (!line.empty()) {
      take_line(line);
      continue;
    }
    const Item item = end_of_headers();
    if (item.kind == Kind::fault) return item;
    return std::nullopt;
  }
}

void StreamFramer::take_line(std::string_view line) {
  if (start_line_) {
    start_line_ = false;
    return;
  }
  if (is_blank(line.front())) {  // folded (RFC 3261 §7.3.1)
    if (in_length_ && length_text_.size() <= kLengthTextBytes) {
      length_text_.append(" ").append(trim(line).substr(0, kLengthTextBytes));
    }
    return;
  }
  end_length();
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;  // the parser names the fault
  if (header_from(trim(line.substr(0, colon))) != HeaderId::content_length) return;
  in_length_ = true;
  length_text_ = trim(line.substr(colon + 1)).substr(0, kLengthTextBytes);
}

void StreamFramer::end_length() {
  if (!in_length_) return;
  in_length_ = false;
  const auto length = parse_number<std::uint32_t>(trim(length_text_));
  // Two that differ would let two parties see different messages.
  if (!length || (length_ && *length_ != *length)) length_bad_ = true;
  length_ = length;
}

StreamFramer::Item StreamFramer::end_of_headers() {
  end_length();
  if (length_bad_) return fail(FaultCode::bad_content_length, HeaderId::content_length);
  if (!length_) return fail(FaultCode::missing_header, HeaderId::content_length);
  total_ = scan_ - begin_ + *length_;
  if (total_ > most_bytes_) return fail(FaultCode::too_large);
  state_ = State::body;
  return {};
}

StreamFramer::Item StreamFramer::fail(FaultCode code, HeaderId header) {
  state_ = State::failed;
  return {Kind::fault, std::string_view(buffer_).substr(begin_), Fault{code, header, 0}};
}

}  // namespace isthmus::sip
