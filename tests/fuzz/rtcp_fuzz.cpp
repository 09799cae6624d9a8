// Parse, write, parse again: the second reading says what the first did, and writing it again gives
// the same bytes. Writing adds an RR where there was none, so a packet at the size limit may come
// out too large to read.
#include <cstdint>
#include <cstdlib>

#include "base/limits.hpp"
#include "rtp/rtcp.hpp"
#include "rtp/rtcp_report.hpp"

using namespace isthmus;
using namespace isthmus::rtp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(const ReportBlock& a, const ReportBlock& b) {
  return a.ssrc == b.ssrc && a.fraction_lost == b.fraction_lost &&
         a.cumulative_lost == b.cumulative_lost && a.highest_sequence == b.highest_sequence &&
         a.jitter == b.jitter && a.last_sr == b.last_sr &&
         a.delay_since_last_sr == b.delay_since_last_sr;
}

void require_same(const RtcpCompound& a, const RtcpCompound& b) {
  require(a.sender_ssrc == b.sender_ssrc && a.cname == b.cname && a.bye == b.bye);
  require(a.sender.has_value() == b.sender.has_value());
  if (a.sender) {
    require(a.sender->ntp == b.sender->ntp && a.sender->rtp_timestamp == b.sender->rtp_timestamp);
    require(a.sender->packets == b.sender->packets && a.sender->octets == b.sender->octets);
  }
  require(a.reports.size() == b.reports.size());
  for (std::size_t i = 0; i < a.reports.size(); ++i) require(same(a.reports[i], b.reports[i]));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto first = RtcpCompound::parse({data, size});
  if (!first) return 0;
  require(size <= limits::kMediaFrameBytes && size % 4 == 0);
  require(first->reports.size() * 24 + first->bye.size() * 4 <= size);
  for (const ReportBlock& block : first->reports) {
    require(block.cumulative_lost >= -0x800000 && block.cumulative_lost <= 0x7fffff);
    const auto trip = round_trip(block, first->sender ? first->sender->ntp : size);
    require(!trip || *trip >= Duration::zero());
  }
  Bytes out;
  first->write(out);
  if (out.size() > limits::kMediaFrameBytes) return 0;
  const auto second = RtcpCompound::parse(out);
  require(second.has_value());
  require_same(*first, *second);
  Bytes again;
  second->write(again);
  require(again == out);
  return 0;
}
