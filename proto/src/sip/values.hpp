#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"
#include "sip/fault.hpp"
#include "sip/uri.hpp"

namespace isthmus::sip {

/// RFC 3261 §20.42. One via-parm.
struct Via {
  std::string transport;   ///< as written: "UDP", "TCP", "TLS", "WSS"
  std::string host;        ///< sent-by host, IPv6 with brackets
  std::uint16_t port = 0;  ///< 0: none written
  Params params;

  static Result<Via, Fault> parse(std::string_view text);
  std::string to_string() const;
  std::string branch() const;  ///< "" if none
  /// Port that responses go to when rport is absent: written, or 5060, or 5061 for TLS.
  std::uint16_t sent_by_port() const;
};

/// RFC 3261 §20.16.
struct CSeq {
  std::uint32_t number = 0;
  Method method = Method::unknown;
  std::string method_text;

  static Result<CSeq, Fault> parse(std::string_view text);
  std::string to_string() const;
};

/// RFC 3262 §7.2.
struct RAck {
  std::uint32_t rseq = 0;
  std::uint32_t cseq = 0;
  std::string method_text;

  static Result<RAck, Fault> parse(std::string_view text);
  std::string to_string() const;
};

inline constexpr std::string_view kBranchCookie = "z9hG4bK";  ///< RFC 3261 §8.1.1.7

}  // namespace isthmus::sip
