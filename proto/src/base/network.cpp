#include "base/network.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace isthmus {
namespace {

unsigned width_of(const IpAddress& address) {
  return address.is_v4() ? 32 : 128;
}

IpAddress masked(const IpAddress& address, unsigned prefix) {
  auto bytes = address.bytes();
  for (unsigned i = 0; i < bytes.size(); ++i) {
    unsigned kept = prefix > i * 8 ? std::min(prefix - i * 8, 8u) : 0;
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  if (!address.is_v4()) return IpAddress::v6(bytes);
  return IpAddress::v4(static_cast<std::uint32_t>(bytes[0]) << 24 |
                       static_cast<std::uint32_t>(bytes[1]) << 16 |
                       static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3]);
}

/// ::ffff:192.0.2.1 is how a dual-stack socket shows an IPv4 peer.
IpAddress unmapped(const IpAddress& address) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const auto& bytes = address.bytes();
  if (address.is_v4() || !std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) return address;
  return IpAddress::v4(static_cast<std::uint32_t>(bytes[12]) << 24 |
                       static_cast<std::uint32_t>(bytes[13]) << 16 |
                       static_cast<std::uint32_t>(bytes[14]) << 8 | bytes[15]);
}

}  // namespace

Network::Network(const IpAddress& base, unsigned prefix)
    : base_(masked(base, prefix)), prefix_(std::min(prefix, width_of(base))) {}

std::optional<Network> Network::parse(std::string_view text) {
  std::size_t slash = text.find('/');
  auto base = IpAddress::parse(text.substr(0, slash));
  if (!base) return std::nullopt;
  if (slash == std::string_view::npos) return Network(*base, width_of(*base));
  auto prefix = parse_number<unsigned>(text.substr(slash + 1));
  if (!prefix || *prefix > width_of(*base)) return std::nullopt;
  Network out(*base, *prefix);
  if (out.base_ != *base) return std::nullopt;
  return out;
}

bool Network::contains(const IpAddress& address) const {
  IpAddress plain = unmapped(address);
  return plain.is_v4() == base_.is_v4() && masked(plain, prefix_) == base_;
}

std::string Network::to_string() const {
  if (prefix_ == width_of(base_)) return base_.to_string();
  return base_.to_string() + "/" + std::to_string(prefix_);
}

}  // namespace isthmus
