#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"

namespace isthmus {

/// A range of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3). A plain value.
class Network {
 public:
  Network() = default;  ///< 0.0.0.0/32, which holds no usable address
  /// Bits of `base` beyond the prefix are cleared. `prefix` above the family's width counts as the
  /// width.
  Network(const IpAddress& base, unsigned prefix);
  /// "192.0.2.0/24", "2001:db8::/32", or a single address. Host bits must be zero: "192.0.2.1/24"
  /// is more often a slip than an intention.
  static std::optional<Network> parse(std::string_view text);

  /// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) count as the IPv4 address they carry.
  bool contains(const IpAddress& address) const;
  std::string to_string() const;  ///< a single address without its prefix length
  bool operator==(const Network&) const = default;

 private:
  IpAddress base_;
  unsigned prefix_ = 32;
};

}  // namespace isthmus
