#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.hpp"

namespace isthmus::sip {

/// SipHash-1-3. Tables whose keys remote parties choose need a hash with a secret: without one they
/// could put all of theirs into one bucket.
class KeyedHash {
 public:
  explicit KeyedHash(Random& random) : k0_(random.u64()), k1_(random.u64()) {}

  std::uint64_t operator()(std::string_view text) const {
    std::uint64_t v[4] = {k0_ ^ 0x736f6d6570736575u, k1_ ^ 0x646f72616e646f6du,
                          k0_ ^ 0x6c7967656e657261u, k1_ ^ 0x7465646279746573u};
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      word |= std::uint64_t{static_cast<std::uint8_t>(text[i])} << (8 * (i % 8));
      if (i % 8 != 7) continue;
      mix(v, word);
      word = 0;
    }
    mix(v, word | std::uint64_t{text.size()} << 56);
    v[2] ^= 0xff;
    for (int round = 0; round < 3; ++round) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
  }

 private:
  static std::uint64_t rotate(std::uint64_t x, int bits) { return x << bits | x >> (64 - bits); }
  static void mix(std::uint64_t (&v)[4], std::uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
  }
  static void sip_round(std::uint64_t (&v)[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
  }

  std::uint64_t k0_, k1_;
};

/// For unordered_map; the KeyedHash must outlive the table.
struct KeyedStringHash {
  const KeyedHash* hash;
  std::size_t operator()(const std::string& text) const {
    return static_cast<std::size_t>((*hash)(text));
  }
};

}  // namespace isthmus::sip
