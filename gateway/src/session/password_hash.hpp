#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/random.hpp"

namespace isthmus::session {

/// Work factors of scrypt (RFC 7914 §2). The defaults take 32 MiB and about 0.1 s.
struct ScryptCost {
  unsigned log2_n = 15, r = 8, p = 1;
  /// N·r·p in units of 128 bytes: proportional to the time one derivation takes.
  std::uint64_t work() const { return (std::uint64_t{1} << log2_n) * r * p; }
  /// Within what this program is willing to spend on one attempt (limits::kScryptBytes).
  bool acceptable() const;
};

/// A stored password: "$scrypt$ln=15,r=8,p=1$salt$hash", salt and hash in base64 without padding.
/// Immutable, so `matches` may run on several threads at once.
class PasswordHash {
 public:
  /// Nothing on any other form, on work factors that are out of bounds, and on salts below 8 or
  /// hashes below 16 bytes.
  static std::optional<PasswordHash> parse(std::string_view text);
  static PasswordHash make(std::string_view password, Random& random, ScryptCost cost = {});

  /// Slow on purpose: call it on a worker thread, never on a shard's. Compares in constant time.
  bool matches(std::string_view password) const;
  const ScryptCost& cost() const { return cost_; }
  std::string to_string() const;

 private:
  ScryptCost cost_;
  Bytes salt_, hash_;
};

/// Text for a configuration's `password_hash`. `random` must be a secure source.
std::string hash_password(std::string_view password, Random& random, ScryptCost cost = {});

}  // namespace isthmus::session
