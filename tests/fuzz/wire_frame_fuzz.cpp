// A whole message of the TCP link, any bytes: what is read keeps every promise of FrameReader, and
// what can be written again reads the same.
#include <cstdlib>
#include <vector>

#include "base/limits.hpp"
#include "wire/frame.hpp"

using namespace isthmus;
using namespace isthmus::wire;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool inside(ByteView part, ByteView whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void rewrite_media(const std::vector<Frame>& frames, std::size_t message_bytes) {
  Bytes out;
  MediaWriter writer(out, message_bytes);
  for (const Frame& frame : frames) require(writer.add(frame.channel, frame.bytes));
  require(out.size() <=
          message_bytes);  // a writer never needs more than the shortest form that came
  FrameReader reader(out);
  for (const Frame& frame : frames) {
    const auto again = reader.next();
    require(again && again->channel == frame.channel &&
            to_bytes(again->bytes) == to_bytes(frame.bytes));
  }
  require(!reader.next() && !reader.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView message(data, size);
  FrameReader reader(message);
  std::vector<Frame> frames;
  while (const auto frame = reader.next()) {
    require(!reader.error());
    require(!frame->bytes.empty() && inside(frame->bytes, message));
    require(frame->channel <= limits::kLastMediaChannel);
    const bool media = frame->channel >= limits::kFirstMediaChannel;
    require(frame->bytes.size() <=
            (media ? limits::kMediaFrameBytes : limits::kReliableFrameBytes));
    if (!media) require(frames.empty());
    frames.push_back(*frame);
  }
  require(!reader.next());
  require(!frames.empty() || reader.error());
  if (frames.empty() || reader.error()) return 0;
  if (frames[0].channel >= limits::kFirstMediaChannel) {
    rewrite_media(frames, size);
  } else if (frames[0].channel <= kSipChannel) {
    Bytes out;
    require(!write_reliable(frames[0].channel, frames[0].bytes, out));
    FrameReader again(out);
    const auto frame = again.next();
    require(frame && to_bytes(frame->bytes) == to_bytes(frames[0].bytes) && !again.next());
  } else {
    require(frames.size() == 1);  // reserved
  }
  return 0;
}
