#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"

/// The part of the configuration that says how names become addresses.
namespace isthmus::ops {

struct DnsConfig {
  std::vector<Endpoint> servers;  ///< empty: the system's
  milliseconds timeout{2000};     ///< for one server's answer
  std::uint32_t tries = 2;        ///< rounds over the servers
  bool operator==(const DnsConfig&) const = default;
};

struct EnumConfig {
  std::string suffix = "e164.arpa";  ///< domain under which numbers are looked up (RFC 6116)
  bool operator==(const EnumConfig&) const = default;
};

}  // namespace isthmus::ops
