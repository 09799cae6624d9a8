#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"

/// What is asked of the DNS and what comes back, as plain values: the pure rooms decide by them,
/// net/dns.hpp does the asking.
namespace isthmus::dns {

enum class Type : std::uint8_t { a, aaaa, srv, naptr };

struct Question {
  Type type = Type::a;
  std::string name;  ///< lower case, without a dot at its end
  auto operator<=>(const Question&) const = default;
};

/// RFC 2782.
struct SrvRecord {
  std::uint16_t priority = 0, weight = 0, port = 0;
  std::string target;  ///< lower case; empty: the service is decidedly not there ("." in the zone)
  bool operator==(const SrvRecord&) const = default;
};

/// RFC 3403 §4.1, as it came but for the case of `flags`, `services` and `replacement`.
struct NaptrRecord {
  std::uint16_t order = 0, preference = 0;
  std::string flags;        ///< lower case: "s", "u", or empty
  std::string services;     ///< lower case: "sip+d2u", "e2u+sip"
  std::string regexp;       ///< "!^.*$!sip:info@example.com!"
  std::string replacement;  ///< lower case; empty: none ("." in the zone)
  bool operator==(const NaptrRecord&) const = default;
};

enum class Status : std::uint8_t {
  found,   ///< at least one record of the type asked for
  none,    ///< the name or the type does not exist, says the DNS
  failed,  ///< no server answered, or with an error, or with nonsense
};

struct Answer {
  Status status = Status::failed;
  seconds ttl{0};  ///< how long it holds; of "none" too (RFC 2308)
  std::vector<IpAddress> addresses{};
  std::vector<SrvRecord> srv{};
  std::vector<NaptrRecord> naptr{};
};

}  // namespace isthmus::dns
