// What a media packet costs on the wire: the same packets over Isthmus, RTP, SRTP, IAX2 and a
// tunnel over TCP. Isthmus' frames come from its own code; headers around them, and the other
// protocols, are computed from their specifications. IPv4 and UDP or TCP headers are counted;
// Ethernet, acknowledgements and signalling are not.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "wire/compact_rtp.hpp"
#include "wire/media_bundle.hpp"

namespace isthmus {
namespace {

constexpr std::size_t kIp = 20, kUdp = 8, kRtp = 12;
constexpr std::size_t kTcp = 20 + 12;                // with timestamps (RFC 7323)
constexpr std::size_t kSrtpTag = 16;                 // AEAD_AES_128_GCM (RFC 7714)
constexpr std::size_t kTls = 5 + 16 + 1;             // a record of TLS 1.3
constexpr std::size_t kTunnel = 4;                   // length and stream, as RFC 4571 and TURN do
constexpr std::size_t kWebSocketOut = 2, kMask = 4;  // two more from 126 bytes on; from the client
constexpr std::size_t kMtu = 1500;
constexpr int kSeconds = 20;
constexpr auto kPacketTime = milliseconds(20);

struct Packet {
  std::size_t call;
  Instant at;
  Bytes rtp;
};

/// Calls begin at any moment of the 20 ms; sizes as the codec makes them.
std::vector<Packet> packets(std::size_t calls, bool opus) {
  std::mt19937 random(7);
  std::vector<Duration> phase(calls);
  for (Duration& of : phase) of = std::chrono::microseconds(random() % 20'000);
  std::vector<Packet> all;
  for (int tick = 0; tick < kSeconds * 50; ++tick) {
    for (std::size_t call = 0; call < calls; ++call) {
      Bytes rtp{0x80, static_cast<std::uint8_t>(opus ? 111 : 0)};
      Writer writer(rtp);
      writer.u16(static_cast<std::uint16_t>(tick));
      writer.u32(static_cast<std::uint32_t>(tick) * (opus ? 960 : 160));
      writer.u32(static_cast<std::uint32_t>(1000 + call));
      const std::size_t payload = opus ? 45 + random() % 31 : 160;  // about 24 kbit/s, variable
      for (std::size_t i = 0; i < payload; ++i) writer.u8(static_cast<std::uint8_t>(random()));
      all.push_back({call, Instant{seconds(1)} + tick * kPacketTime + phase[call], std::move(rtp)});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Packet& a, const Packet& b) { return a.at < b.at; });
  return all;
}

using Total = std::function<std::size_t(const std::vector<Packet>&)>;

/// Each packet alone, with `around` bytes beside what is in the RTP packet.
Total each(std::size_t around) {
  return [around](const std::vector<Packet>& all) {
    std::size_t bytes = 0;
    for (const Packet& packet : all) bytes += packet.rtp.size() + around;
    return bytes;
  };
}

/// IAX2 without a trunk (RFC 5456 §8.1.2): 4 bytes of mini frame in place of RTP's header, and a
/// full frame (12 bytes, §8.1.1) at the start and whenever the 16-bit timestamp wraps, every 65.5
/// s.
std::size_t iax2_mini(const std::vector<Packet>& all) {
  constexpr std::size_t kMini = 4, kFull = 12;
  constexpr auto kWrap = milliseconds(65536);
  std::size_t bytes = 0;
  std::map<std::size_t, Instant> last_full;
  for (const Packet& packet : all) {
    const auto found = last_full.find(packet.call);
    const bool full = found == last_full.end() || packet.at - found->second >= kWrap;
    if (full) last_full[packet.call] = packet.at;
    bytes += kIp + kUdp + (full ? kFull : kMini) + packet.rtp.size() - kRtp;
  }
  return bytes;
}

/// A trunk sends every 20 ms what all calls have (meta trunk frames, RFC 5456 §8.1.3): 8 bytes, and
/// for each call 6 with its own timestamp, 4 without; no RTP header, no encryption.
Total iax2_trunk(std::size_t entry_header) {
  return [entry_header](const std::vector<Packet>& all) {
    constexpr std::size_t kMeta = 8;
    std::size_t bytes = 0, open = 0;
    std::optional<long> tick;
    for (const Packet& packet : all) {
      const long now = (packet.at - Instant{}) / kPacketTime;
      const std::size_t entry = entry_header + packet.rtp.size() - kRtp;
      if (tick != now || open + entry > kMtu) {
        tick = now;
        open = kIp + kUdp + kMeta;
        bytes += open;
      }
      open += entry;
      bytes += entry;
    }
    return bytes;
  };
}

/// Isthmus: our own frames, bundled for at most `limits::kBundleWait` in payloads of `max` bytes.
Total isthmus_link(bool compact, bool bundle, std::size_t around, bool websocket = false) {
  return [=](const std::vector<Packet>& all) {
    wire::CompactRtpSender sender;
    wire::CompactRtpReceiver receiver;
    if (compact) {
      sender.enable();
      receiver.enable();
    }
    wire::MediaBundler bundler(kMtu - around);
    std::size_t bytes = 0;
    const auto flush = [&] {
      const std::size_t payload = bundler.payload().size();
      if (!bundler.empty()) bytes += payload + around + (websocket && payload > 125 ? 2 : 0);
      bundler.clear();
    };
    for (const Packet& packet : all) {
      if (bundler.due() && (!bundle || *bundler.due() <= packet.at)) flush();
      const auto channel = static_cast<wire::Channel>(16 + 2 * packet.call);
      const Bytes frame = to_bytes(sender.write(channel, packet.rtp, packet.at));
      if (const auto proposal = sender.take_proposal()) {
        sender.on_answer(receiver.on_context(*proposal), packet.at);
      }
      if (bundler.add(channel, frame, packet.at) == wire::MediaBundler::Added::full) {
        flush();
        bundler.add(channel, frame, packet.at);
      }
    }
    flush();
    return bytes;
  };
}

struct Row {
  const char* name;
  Total total;
};

void table(const char* codec, bool opus) {
  const std::size_t udp = kIp + kUdp + kRtp + kSrtpTag;
  const std::size_t tcp = kIp + kTcp + kTls + kWebSocketOut;
  const std::vector<Row> rows{
      {"RTP over UDP, in the clear", each(kIp + kUdp)},
      {"SRTP, AES_CM_128_HMAC_SHA1_80", each(kIp + kUdp + 10)},
      {"SRTP, AEAD_AES_128_GCM", each(kIp + kUdp + kSrtpTag)},
      {"IAX2 mini frames, in the clear", iax2_mini},
      {"IAX2 trunk, in the clear", iax2_trunk(4)},
      {"IAX2 trunk with timestamps, in the clear", iax2_trunk(6)},
      {"tunnel over TCP (assumed format), in the clear", each(kIp + kTcp + kTunnel)},
      {"tunnel over TLS, the same in records", each(kIp + kTcp + kTls + kTunnel)},
      {"Isthmus UDP link, whole RTP", isthmus_link(false, false, udp)},
      {"Isthmus UDP link, compact", isthmus_link(true, false, udp)},
      {"Isthmus UDP link, compact and bundled", isthmus_link(true, true, udp)},
      {"Isthmus TLS link, whole RTP, to the client", isthmus_link(false, false, tcp, true)},
      {"Isthmus TLS link, compact, to the client", isthmus_link(true, false, tcp, true)},
      {"Isthmus TLS link, compact, from the client", isthmus_link(true, false, tcp + kMask, true)},
  };
  std::printf("\n%-52s %9s %9s %9s\n", codec, "1 call", "10 calls", "30 calls");
  for (const Row& row : rows) {
    std::printf("%-52s", row.name);
    for (const std::size_t calls : {1u, 10u, 30u}) {
      const auto all = packets(calls, opus);
      std::printf(" %9.1f", static_cast<double>(row.total(all)) / static_cast<double>(all.size()));
    }
    std::printf("\n");
  }
}

}  // namespace
}  // namespace isthmus

int main() {
  std::printf(
      "Bytes on the wire for each media packet: IPv4, UDP or TCP (with timestamps) included; %d "
      "s,\n"
      "calls at any phase of their 20 ms, G.711 160 bytes, Opus 45 to 75. The tunnel over TCP "
      "stands\n"
      "for those of 3CX and others, whose formats are not published: each RTP packet behind 4 "
      "bytes\n"
      "that tell its length and stream, in a segment of its own.\n",
      isthmus::kSeconds);
  isthmus::table("G.711, 20 ms", false);
  isthmus::table("Opus, 20 ms, about 24 kbit/s", true);
}
