#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.hpp"

namespace isthmus::wire {

/// The gateway's resume tokens. A token names a session and a generation and is sealed with a key
/// that lives as long as the process (HMAC-SHA-256, cut to 128 bits): nothing that would open a
/// session is stored anywhere, neither token nor hash, and a token that was used says so by its
/// generation. The same generation always gives the same token. Pure.
class ResumeTokens {
 public:
  explicit ResumeTokens(Random& random) { random.fill(key_); }

  struct Claim {
    std::uint64_t session = 0;
    std::uint32_t generation = 0;
    bool operator==(const Claim&) const = default;
  };
  std::string issue(Claim claim) const;  ///< 56 hexadecimal digits
  /// @return nothing for what this object never issued, found in constant time
  std::optional<Claim> open(std::string_view token) const;

 private:
  using Seal = std::array<std::uint8_t, 16>;
  Seal seal(ByteView claim) const;
  std::array<std::uint8_t, 32> key_{};
};

/// Which generations of one session's token may still be used. Using one issues the next; the one
/// used stays good until the client has shown that it got the next, since the Welcome that carried
/// it may be lost with its link. So two are good at most.
///
///     issued 1 ──use 1──▶ good 1, 2 ──proof──▶ good 2 ──use 2──▶ good 2, 3 …
///                           └──use 1──▶ good 1, 2 (the same 2 again)
class ResumeGenerations {
 public:
  static constexpr std::uint32_t kFirst = 1;
  bool good(std::uint32_t generation) const {
    return generation >= oldest_ && generation <= newest_;
  }
  /// A link attached by this one, which is good. @return the one that its Welcome carries
  std::uint32_t use(std::uint32_t generation) {
    oldest_ = generation;
    newest_ = generation + 1;
    return newest_;
  }
  /// A frame came on a link after its Welcome.
  void prove() { oldest_ = newest_; }

 private:
  std::uint32_t oldest_ = kFirst, newest_ = kFirst;
};

}  // namespace isthmus::wire
