#include "base/random.hpp"

namespace isthmus {

std::uint64_t Random::u64() {
  std::uint8_t raw[8];
  fill(raw);
  std::uint64_t value = 0;
  for (std::uint8_t byte : raw) value = value << 8 | byte;
  return value;
}

double Random::fraction() {
  return static_cast<double>(u32()) / 4294967296.0;
}

std::string Random::token(std::size_t characters) {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  Bytes raw(characters);
  fill(raw);
  std::string out(characters, 'a');
  for (std::size_t i = 0; i < characters; ++i) out[i] = kAlphabet[raw[i] & 31];
  return out;
}

void BatchedRandom::fill(MutableBytes out) {
  if (out.size() > batch_.size()) return source_.fill(out);
  if (out.size() > batch_.size() - used_) {
    source_.fill(batch_);
    used_ = 0;
  }
  for (std::uint8_t& byte : out) {
    byte = batch_[used_];
    batch_[used_++] = 0;
  }
}

void SeededRandom::fill(MutableBytes out) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i % 8 == 0) {
      state_ += 0x9e3779b97f4a7c15u;
      word = state_;
      word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
      word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
      word ^= word >> 31;
    }
    out[i] = static_cast<std::uint8_t>(word >> (8 * (i % 8)));
  }
}

}  // namespace isthmus
