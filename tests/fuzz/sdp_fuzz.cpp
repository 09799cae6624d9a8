// Parse, read everything, edit, write, read again. What must hold whatever comes in:
// - an unchanged description goes out as the bytes that came in;
// - a fault names a line that exists, on one line of printable text;
// - an open stream has an address; after set_address() none but ours, a hold, or a foreign
// network's is left;
// - what was edited reads back, with the edits, unless the edits carried it over a limit.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/limits.hpp"
#include "sdp/session_description.hpp"

using namespace isthmus;
using namespace isthmus::sdp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_everything(const SessionDescription& sdp) {
  require(!sdp.origin().empty());
  for (const auto& media : sdp.media()) {
    require(media.port() == 0 || sdp.connection_of(media).has_value());
    require(media.port() == 0 || !media.formats().empty());
    require(!media.type().empty() && !media.protocol().empty());
    require(!media.rtcp_address() || media.rtcp_port());
    for (const RtpMap& map : media.rtpmaps()) {
      require(map.payload_type < 128 && map.clock_rate > 0 && map.channels > 0);
      require(!map.encoding.empty());
      (void)media.fmtp(map.payload_type);
    }
    (void)media.ptime_ms();
    (void)media.rtcp_mux();
    (void)sdp.direction_of(media);
  }
}

void edit(SessionDescription& sdp, const IpAddress& address) {
  sdp.set_address(address);
  sdp.set_origin_version(7);
  sdp.set_origin_address(address);
  for (auto& media : sdp.media()) {
    media.set_port(18);
    media.set_protocol("RTP/AVP");
    media.set_formats({"0", "101"});
    media.set_direction(Direction::sendonly);
    media.set_attribute("ptime", "20");
    media.remove_attribute("rtcp");
  }
}

void check_edited(const SessionDescription& sdp, const IpAddress& address, std::size_t sections) {
  require(sdp.origin_version() == 7u);
  require(sdp.media().size() == sections);
  for (const auto& media : sdp.media()) {
    require(media.port() == 18 && media.protocol() == "RTP/AVP");
    require(media.rtpmaps().size() >= 1 && media.ptime_ms() == 20u);
    require(media.direction() == Direction::sendonly && !media.rtcp_port());
    const auto connection = sdp.connection_of(media);
    require(connection.has_value());
    require(!connection->ip || connection->ip->is_unspecified() || *connection->ip == address);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto result = SessionDescription::parse(text);
  if (!result) {
    const std::string reason = result.error().reason();
    for (const char c : reason) require(c >= ' ' && c <= '~');
    require(result.error().line <= size + 2);
    return 0;
  }
  require(result->to_string() == text);
  read_everything(*result);

  const IpAddress address =
      size % 2 == 0 ? IpAddress::v4(0xc0000008) : IpAddress::v6({0x20, 0x01, 0x0d, 0xb8});
  edit(*result, address);
  const auto again = SessionDescription::parse(result->to_string());
  if (again) {
    check_edited(*again, address, result->media().size());
    require(again->to_string() == result->to_string());
  } else {
    const FaultCode code = again.error().code;
    require(code == FaultCode::too_large || code == FaultCode::too_many_lines);
  }
  return 0;
}
