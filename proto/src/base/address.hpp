#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus {

/// An IPv4 or IPv6 address as a plain value (no socket library needed).
class IpAddress {
 public:
  IpAddress() = default;  ///< unspecified IPv4 (0.0.0.0)
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);
  /// Accepts dotted IPv4, IPv6 with or without [brackets]; no scope ids, no names.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const { return v4_; }
  bool is_unspecified() const;
  bool is_loopback() const;
  std::uint32_t v4_host_order() const;
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }  ///< IPv4 in the first four
  std::string to_string() const;                                        ///< without brackets
  std::string to_uri_host() const;  ///< IPv6 in brackets (RFC 3261 §25.1 host)

  auto operator<=>(const IpAddress&) const = default;

 private:
  bool v4_ = true;
  std::array<std::uint8_t, 16> bytes_{};
};

/// Address and UDP or TCP port.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// "192.0.2.1:5060" or "[2001:db8::1]:5060"; the port is required.
  static std::optional<Endpoint> parse(std::string_view text);
  std::string to_string() const;
  auto operator<=>(const Endpoint&) const = default;
};

struct EndpointHash {
  std::size_t operator()(const Endpoint& endpoint) const;
};

}  // namespace isthmus
