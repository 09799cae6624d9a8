// However a stream is cut into reads, the same items come out of it, within the bounds; and a
// message that was cut out reads as a message whose body has the length that was cut.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "sip/message.hpp"
#include "sip/stream_framer.hpp"

using namespace isthmus;
using sip::StreamFramer;

namespace {

constexpr std::size_t kMostBytes = 2048;  // so that the bound is within reach of small inputs

void require(bool holds) {
  if (!holds) std::abort();
}

std::string without_cr(std::string text) {
  std::erase(text, '\r');
  return text;
}

struct Seen {
  StreamFramer::Kind kind;
  std::string bytes;
  sip::FaultCode fault;
  bool operator==(const Seen&) const = default;
};

void drain(StreamFramer& framer, std::vector<Seen>& seen) {
  while (true) {
    const auto item = framer.next();
    if (item.kind == StreamFramer::Kind::none) return;
    const bool fault = item.kind == StreamFramer::Kind::fault;
    require(item.bytes.size() <= kMostBytes || fault);
    // How much of a broken message had come depends on the reads; why it is broken must not.
    seen.push_back({item.kind, fault ? std::string() : std::string(item.bytes),
                    fault ? item.fault.code : sip::FaultCode::empty});
    if (item.kind != StreamFramer::Kind::message) continue;
    const auto message = sip::Message::parse(std::string(item.bytes));
    // Line ends of LF alone have become CRLF.
    if (message) require(without_cr(message->serialize()) == without_cr(std::string(item.bytes)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = std::size_t{data[0]} + 1;
  const std::string stream(reinterpret_cast<const char*>(data + 1), size - 1);

  StreamFramer whole(kMostBytes), split(kMostBytes);
  std::vector<Seen> at_once, piecewise;
  whole.feed(stream);
  drain(whole, at_once);
  for (std::size_t at = 0; at < stream.size(); at += step) {
    split.feed(std::string_view(stream).substr(at, step));
    drain(split, piecewise);
    require(split.buffered_bytes() <= kMostBytes + step);
  }
  require(at_once == piecewise);
  require(whole.in_message() == split.in_message());
  return 0;
}
