#pragma once
#include <optional>
#include <string>

#include "sip/message.hpp"

namespace isthmus::call {

/// A DTMF digit in the body of an INFO. No RFC says how: what phones and PBXs do is
/// application/dtmf-relay ("Signal=5", "Duration=160" in ms, each on a line of its own) or
/// application/dtmf (the digit alone).
struct DtmfInfo {
  static constexpr const char* kType = "application/dtmf-relay";
  static constexpr unsigned kUsual_ms = 160;  ///< of an INFO that does not say

  char digit = '\0';  ///< 0-9 * # A-D
  unsigned duration_ms = kUsual_ms;

  /// @return nothing: the message bears no such body, or one that names no digit (a hook flash).
  static std::optional<DtmfInfo> of(const sip::Message& info);
  std::string to_body() const;
};

}  // namespace isthmus::call
