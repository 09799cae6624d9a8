#include "quic/shard_filter.hpp"

#include <cstdint>

namespace isthmus::quic {

namespace {

constexpr std::uint32_t kLeastLongHeader = 192, kLeastMedia = 128;  ///< of first bytes: kind_of()
/// Where the id begins: in a long header behind flags, version and its length (RFC 8999 §5.1), in a
/// short one behind flags (§5.2), in a media packet at the place of RTP's SSRC.
constexpr std::uint32_t kIdInLongHeader = 6, kIdInShortHeader = 1, kIdInMedia = 8;

constexpr sock_filter load_byte(std::uint32_t at) {
  return {BPF_LD | BPF_B | BPF_ABS, 0, 0, at};  // beyond the end: the program ends with 0
}
constexpr sock_filter skip_if_at_least(std::uint32_t value, std::uint8_t steps) {
  return {BPF_JMP | BPF_JGE | BPF_K, steps, 0, value};
}
constexpr sock_filter skip(std::uint32_t steps) {
  return {BPF_JMP | BPF_JA, 0, 0, steps};
}

}  // namespace

ShardFilter shard_filter(unsigned shards) {
  return {load_byte(0),
          skip_if_at_least(kLeastLongHeader, 5),
          skip_if_at_least(kLeastMedia, 2),
          load_byte(kIdInShortHeader),
          skip(3),
          load_byte(kIdInMedia),
          skip(1),
          load_byte(kIdInLongHeader),
          sock_filter{BPF_ALU | BPF_MOD | BPF_K, 0, 0, shards},
          sock_filter{BPF_RET | BPF_A, 0, 0, 0}};
}

}  // namespace isthmus::quic
