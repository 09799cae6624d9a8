#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace isthmus {

/// Source of random bytes, passed into pure code so that a seed repeats a run. Not thread-safe:
/// each thread has its own.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableBytes out) = 0;

  std::uint64_t u64();
  std::uint32_t u32() { return static_cast<std::uint32_t>(u64()); }
  /// Uniform in [0, 1).
  double fraction();
  /// Lower-case base-32 text carrying 5 bits a character: tags, branches, tokens, nonces.
  std::string token(std::size_t characters);
};

/// Deterministic (SplitMix64): tests and simulations only, never for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override;
  /// Uniform in [0, bound); bound must not be zero.
  std::uint64_t below(std::uint64_t bound) { return u64() % bound; }

 private:
  std::uint64_t state_;
};

/// Takes from another source in batches: where that asks the system, a call's dozen of tokens would
/// otherwise cost as many such questions. What was given out is wiped.
class BatchedRandom final : public Random {
 public:
  explicit BatchedRandom(Random& source) : source_(source) {}
  void fill(MutableBytes out) override;

 private:
  Random& source_;
  std::array<std::uint8_t, 512> batch_{};
  std::size_t used_ = 512;
};

}  // namespace isthmus
