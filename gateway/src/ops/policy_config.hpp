#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// Header policy and limits of the gateway's configuration, as plain values.
namespace isthmus::ops {

struct HeaderEditsConfig {
  std::vector<std::string> rename;  ///< "Old: New"
  std::vector<std::string> remove;
  std::vector<std::string> set, add;  ///< "Name: value"
  bool operator==(const HeaderEditsConfig&) const = default;
};

enum class HeaderUse : std::uint8_t { pass, strip };
/// In which form a provider is told who redirected a call (provider/redirection_headers.hpp).
enum class RedirectionForm : std::uint8_t { pass, diversion, history_info, both };

/// What becomes of headers between clients and one provider (provider/header_policy.hpp).
struct HeadersConfig {
  bool trusted = true, assert_identity = false, apply_privacy = false;
  std::string anonymous_from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
  HeaderUse diversion = HeaderUse::pass, history_info = HeaderUse::pass;
  RedirectionForm redirections = RedirectionForm::pass;
  HeaderUse software = HeaderUse::pass;
  HeaderEditsConfig to_provider, from_provider;
  bool operator==(const HeadersConfig&) const = default;
};

/// What one party may do; 0 is no limit (provider/admission.hpp).
struct AccountLimitsConfig {
  std::uint32_t calls = 0, call_attempts_per_s = 0, registrations_per_s = 0, requests_per_s = 0;
  bool operator==(const AccountLimitsConfig&) const = default;
};

}  // namespace isthmus::ops
