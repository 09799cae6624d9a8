// The input is read as an RTP packet, as a telephone event, and as a stream of arrivals. What must
// hold:
// - a packet that parses, written again from its parts, parses to the same parts, and is the same
// bytes if it had
//   no CSRCs, extension or padding;
// - a telephone event written again is the same event;
// - statistics of any stream stay within their bounds.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "rtp/receive_statistics.hpp"
#include "rtp/rtp_packet.hpp"
#include "rtp/telephone_event.hpp"

using namespace isthmus;
using namespace isthmus::rtp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(ByteView a, ByteView b) {
  return to_bytes(a) == to_bytes(b);
}

void as_packet(ByteView raw) {
  const auto view = RtpView::parse(raw);
  if (!view) return;
  require(view->payload().size() + 12 <= raw.size());
  Bytes out;
  write_rtp(
      {view->marker(), view->payload_type(), view->sequence(), view->timestamp(), view->ssrc()},
      view->payload(), out);
  const auto again = RtpView::parse(out);
  require(again.has_value());
  require(again->marker() == view->marker() && again->payload_type() == view->payload_type());
  require(again->sequence() == view->sequence() && again->timestamp() == view->timestamp());
  require(again->ssrc() == view->ssrc() && same(again->payload(), view->payload()));
  require(is_rtcp(raw) == is_rtcp(out));
  if ((raw[0] & 0x3f) == 0) require(same(out, raw));
}

void as_event(ByteView raw) {
  const auto event = TelephoneEvent::parse(raw);
  require(event.has_value() == (raw.size() >= 4));
  if (!event) return;
  Bytes out;
  event->write(out);
  const auto again = TelephoneEvent::parse(out);
  require(again && again->event == event->event && again->end == event->end);
  require(again->volume == event->volume && again->duration == event->duration);
}

/// Records of ten bytes: sequence, timestamp, arrival in ms after the one before, SSRC, what else
/// to do.
void as_stream(ByteView raw) {
  Reader reader(raw);
  ReceiveStatistics statistics(reader.u32());
  TelephoneEventReceiver receiver;
  Instant now{std::chrono::hours(1)};
  std::uint64_t packets = 0, lost_before = 0;
  while (reader.remaining() >= 10) {
    const std::uint16_t sequence = reader.u16();
    const std::uint32_t timestamp = reader.u32();
    now += milliseconds(reader.u16());
    const std::uint8_t ssrc = reader.u8();
    const std::uint8_t act = reader.u8();
    statistics.on_packet(sequence, timestamp, ssrc, 160, now);
    ++packets;
    require(statistics.received() == packets && statistics.bytes() == packets * 160);
    require(statistics.lost() <= statistics.expected());
    require(statistics.loss_ratio() >= 0 && statistics.loss_ratio() <= 1);
    require(std::isfinite(statistics.jitter_ms()) && statistics.jitter_ms() >= 0);
    if (act % 4 == 1) statistics.on_sender_report(timestamp, now);
    if (act % 4 == 2) statistics.set_clock_rate(timestamp);
    if (act % 4 == 3) require(statistics.report(now).ssrc == ssrc);
    const auto digit = receiver.on_packet(timestamp, {ssrc, (act & 0x80) != 0, 10, sequence});
    require(!digit || event_of(*digit) == ssrc);
    lost_before = statistics.lost();
  }
  require(lost_before == statistics.lost());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView raw(data, size);
  as_packet(raw);
  as_event(raw);
  as_stream(raw);
  return 0;
}
