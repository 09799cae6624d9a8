#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

#include "quic/connection.hpp"
#include "quic/ngtcp2_native.hpp"

namespace isthmus::quic {

namespace {

constexpr ngtcp2_duration kRetryTokenLife = 10 * NGTCP2_SECONDS;
/// Of a stateless reset: as long as a short packet that could be ours, and below what provokes it.
constexpr std::size_t kResetBytes = 41, kLeastResetBytes = 21;

}  // namespace

Header read_header(ByteView datagram) {
  Header header;
  if (datagram.empty()) return header;
  header.long_form = (datagram[0] & 0x80) != 0;
  ngtcp2_version_cid ids{};
  const int result =
      ::ngtcp2_pkt_decode_version_cid(&ids, datagram.data(), datagram.size(), kConnectionIdBytes);
  if (result != 0 && result != NGTCP2_ERR_VERSION_NEGOTIATION) return header;
  header.kind = result == 0 && (!header.long_form || ids.version == kVersion)
                    ? HeaderKind::known_version
                    : HeaderKind::unknown_version;
  // A version negotiation packet is for clients, and must not be answered with another.
  if (header.long_form && ids.version == 0) header.kind = HeaderKind::malformed;
  header.destination = as_text({ids.dcid, ids.dcidlen});
  header.source = as_text({ids.scid, ids.scidlen});
  return header;
}

std::optional<InitialPacket> read_initial(ByteView datagram) {
  ngtcp2_pkt_hd header{};
  // RFC 9000 §14.1: an Initial in a smaller datagram is not answered.
  if (datagram.size() < kSmallestPath) return std::nullopt;
  if (::ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) return std::nullopt;
  if (header.type != NGTCP2_PKT_INITIAL || header.version != kVersion) return std::nullopt;
  return InitialPacket{header.version, std::string(view_of(header.dcid)),
                       std::string(view_of(header.scid)), token_of(header)};
}

std::size_t write_version_negotiation(const Header& header, Random& random, MutableBytes out) {
  const std::uint32_t versions[] = {kVersion};
  const ByteView destination = as_bytes(header.source), source = as_bytes(header.destination);
  const auto length = ::ngtcp2_pkt_write_version_negotiation(
      out.data(), out.size(), static_cast<std::uint8_t>(random.u32()), destination.data(),
      destination.size(), source.data(), source.size(), versions, 1);
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

std::size_t write_retry(const InitialPacket& initial, const Endpoint& remote, std::uint8_t shard,
                        const StaticSecret& secret, Random& random, Instant now, MutableBytes out) {
  std::array<std::uint8_t, kConnectionIdBytes> id{};
  random.fill(id);
  id[0] = shard;
  const ngtcp2_cid chosen = to_cid(as_text(id)), original = to_cid(initial.destination),
                   peer = to_cid(initial.source);
  ngtcp2_sockaddr_union address{};
  const ngtcp2_socklen address_length = to_sockaddr(remote, address);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token{};
  const auto token_length = ::ngtcp2_crypto_generate_retry_token(
      token.data(), secret.data(), secret.size(), initial.version, &address.sa, address_length,
      &chosen, &original, to_ngtcp2(now));
  if (token_length <= 0) return 0;
  const auto length =
      ::ngtcp2_crypto_write_retry(out.data(), out.size(), initial.version, &peer, &chosen,
                                  &original, token.data(), static_cast<std::size_t>(token_length));
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

std::optional<std::string> open_retry_token(const InitialPacket& initial, const Endpoint& remote,
                                            const StaticSecret& secret, Instant now) {
  ngtcp2_sockaddr_union address{};
  const ngtcp2_socklen address_length = to_sockaddr(remote, address);
  const ngtcp2_cid destination = to_cid(initial.destination);
  ngtcp2_cid original{};
  const ByteView token = as_bytes(initial.token);
  if (token.empty() || token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) return std::nullopt;
  if (::ngtcp2_crypto_verify_retry_token(
          &original, token.data(), token.size(), secret.data(), secret.size(), initial.version,
          &address.sa, address_length, &destination, kRetryTokenLife, to_ngtcp2(now)) != 0) {
    return std::nullopt;
  }
  return std::string(view_of(original));
}

std::size_t write_stateless_reset(std::string_view destination, std::size_t provoked_by,
                                  const StaticSecret& secret, Random& random, MutableBytes out) {
  if (provoked_by <= kLeastResetBytes) return 0;
  const ngtcp2_cid id = to_cid(destination);
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token{};
  if (::ngtcp2_crypto_generate_stateless_reset_token(token.data(), secret.data(), secret.size(),
                                                     &id) != 0) {
    return 0;
  }
  const std::size_t size = std::min(kResetBytes, provoked_by - 1);
  std::array<std::uint8_t, kResetBytes> noise{};
  random.fill(noise);
  const auto length = ::ngtcp2_pkt_write_stateless_reset(
      out.data(), std::min(out.size(), size), token.data(), noise.data(), size - token.size());
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

std::size_t write_refusal(const InitialPacket& initial, MutableBytes out) {
  const ngtcp2_cid peer = to_cid(initial.source), destination = to_cid(initial.destination);
  const auto length =
      ::ngtcp2_crypto_write_connection_close(out.data(), out.size(), initial.version, &peer,
                                             &destination, NGTCP2_CONNECTION_REFUSED, nullptr, 0);
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

}  // namespace isthmus::quic
