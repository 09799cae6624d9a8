#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "provider/contact.hpp"
#include "sip/message.hpp"

namespace isthmus::provider {

/// What the built-in registrar does about Path (RFC 3327 §5.3).
enum class PathPolicy : std::uint8_t {
  accept,  ///< stored; returned to devices that know it
  strict,  ///< refused with 421 when the device does not say that it knows it
  off,     ///< not supported: ignored, and 420 when it is required
};

struct RegisterPolicy {
  std::uint32_t default_expires_s = 3600, min_expires_s = 60, max_expires_s = 7200;
  PathPolicy path = PathPolicy::accept;
};

/// A REGISTER as RFC 3261 §10.3 has it read, before it meets the contacts that are there already.
struct RegisterRequest {
  struct Update {
    Contact contact;              ///< all but flow, expires and refreshed
    std::uint32_t expires_s = 0;  ///< granted; 0: remove it
  };
  bool remove_all = false;  ///< Contact: *
  std::vector<Update> updates;
  std::string path;               ///< Path to return; empty: none, or the device does not know it
  bool outbound = false;          ///< RFC 5626 was applied
  bool returns_outbound = false;  ///< and the device said that it supports it
};

/// A failure response in the making.
struct Refusal {
  int status = 400;
  std::string reason;  ///< empty: the default phrase
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// Judges everything that needs no look at the contacts that are there: Require, Path, Contacts
/// with their parameters, RFC 5626 conditions. The cheaper checks come first.
Result<RegisterRequest, Refusal> read_register(const sip::Message& request,
                                               const RegisterPolicy& policy);

}  // namespace isthmus::provider
