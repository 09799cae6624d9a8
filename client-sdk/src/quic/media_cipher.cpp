#include "quic/media_cipher.hpp"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <algorithm>

namespace isthmus::quic {

namespace {

constexpr std::uint8_t kRtpVersion = 0x80;  // version 2, no padding, extension or CSRC
constexpr std::size_t kKeyBytes = kMediaMasterBytes, kSaltBytes = 12;
constexpr std::int64_t kCycle = 0x10000;
/// Labels of the key derivation (RFC 3711 §4.3.2).
constexpr std::uint8_t kLabelCipher = 0, kLabelSalt = 2;

/// AES-CM's key stream under the master key (RFC 3711 §4.3.3), of which one block is enough; its
/// salt is 112 bits long by zeros at its end (RFC 7714 §11).
bool derive(MediaKey master, std::uint8_t label, MutableBytes out) {
  std::array<std::uint8_t, 16> block{}, zero{};
  std::copy_n(master.begin() + kKeyBytes, kSaltBytes, block.begin());
  block[7] ^= label;
  const gnutls_datum_t key{master.data(), kKeyBytes}, vector{zero.data(), zero.size()};
  gnutls_cipher_hd_t cipher = nullptr;
  if (::gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &key, &vector) < 0) return false;
  const bool done = ::gnutls_cipher_encrypt(cipher, block.data(), block.size()) >= 0;
  ::gnutls_cipher_deinit(cipher);
  std::copy_n(block.begin(), std::min(out.size(), block.size()), out.begin());
  return done;
}

void put(std::uint8_t* at, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    at[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
  }
}

}  // namespace

bool MediaCipher::Direction::start(const MediaKey& master) {
  std::array<std::uint8_t, kKeyBytes> session{};
  if (!derive(master, kLabelCipher, session) || !derive(master, kLabelSalt, salt)) return false;
  const gnutls_datum_t key{session.data(), session.size()};
  return ::gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &key) >= 0;
}

/// RFC 7714 §8.1. @param counter  the rollover counter and, below it, the sequence number
MediaCipher::Direction::Nonce MediaCipher::Direction::nonce(std::uint32_t ssrc,
                                                            std::uint64_t counter) const {
  Nonce nonce{};
  put(&nonce[2], ssrc, 4);
  put(&nonce[6], counter, 6);
  for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] ^= salt[i];
  return nonce;
}

/// In place: header, payload, room for the tag.
bool MediaCipher::Direction::seal(const Nonce& nonce, MutableBytes packet) {
  const giovec_t header{packet.data(), kMediaHeaderBytes};
  const giovec_t payload{packet.data() + kMediaHeaderBytes, packet.size() - kMediaOverhead};
  std::size_t tag_bytes = kMediaTagBytes;
  return ::gnutls_aead_cipher_encryptv2(cipher, nonce.data(), nonce.size(), &header, 1, &payload, 1,
                                        packet.last(kMediaTagBytes).data(), &tag_bytes) >= 0;
}

bool MediaCipher::Direction::open(const Nonce& nonce, MutableBytes packet) {
  const giovec_t header{packet.data(), kMediaHeaderBytes};
  const giovec_t payload{packet.data() + kMediaHeaderBytes, packet.size() - kMediaOverhead};
  return ::gnutls_aead_cipher_decryptv2(cipher, nonce.data(), nonce.size(), &header, 1, &payload, 1,
                                        packet.last(kMediaTagBytes).data(), kMediaTagBytes) >= 0;
}

MediaCipher::~MediaCipher() {
  for (const Direction* direction : {&send_, &receive_}) {
    if (direction->cipher != nullptr) ::gnutls_aead_cipher_deinit(direction->cipher);
  }
}

std::unique_ptr<MediaCipher> MediaCipher::make(const MediaKey& send, const MediaKey& receive,
                                               std::uint32_t receive_id,
                                               std::uint64_t packets_per_key) {
  std::unique_ptr<MediaCipher> made(new MediaCipher);
  made->packets_per_key_ = packets_per_key;
  made->receive_id_ = receive_id;
  if (!made->send_.start(send) || !made->receive_.start(receive)) return nullptr;
  return made;
}

bool MediaCipher::seal(std::uint32_t receiver_id, std::uint32_t clock_ms, Bytes& packet) {
  if (packet.size() < kMediaHeaderBytes || sent_ >= packets_per_key_) return false;
  packet[0] = kRtpVersion;
  packet[1] = kMediaPayloadType;
  put(&packet[2], sent_, 2);
  put(&packet[4], clock_ms, 4);
  put(&packet[8], receiver_id, 4);
  packet.resize(packet.size() + kMediaTagBytes);
  if (!send_.seal(send_.nonce(receiver_id, sent_), packet)) return false;
  ++sent_;
  return true;
}

std::optional<MediaCipher::Opened> MediaCipher::open(MutableBytes packet) {
  fault_ = MediaFault::malformed;
  if (packet.size() <= kMediaOverhead || packet[0] != kRtpVersion ||
      packet[1] != kMediaPayloadType || media_id_of(packet) != receive_id_) {
    return std::nullopt;
  }
  const std::int64_t extended = extend(static_cast<std::uint16_t>(packet[2] << 8 | packet[3]));
  if (came_before(extended)) {
    fault_ = MediaFault::replayed;
    return std::nullopt;
  }
  fault_ = MediaFault::forged;
  if (extended < 0) return std::nullopt;  // from before a counter's beginning
  const auto nonce = receive_.nonce(receive_id_, static_cast<std::uint64_t>(extended));
  if (!receive_.open(nonce, packet)) return std::nullopt;
  const bool newest = !newest_ || extended > *newest_;
  note(extended);
  return Opened{packet.subspan(kMediaHeaderBytes, packet.size() - kMediaOverhead), newest};
}

bool MediaCipher::came_before(std::int64_t extended) const {
  if (!newest_ || extended > *newest_) return false;
  if (*newest_ - extended >= static_cast<std::int64_t>(kReplayWindow)) return true;
  return extended >= 0 && came_[static_cast<std::size_t>(extended) % kReplayWindow];
}

/// An authentic packet came.
void MediaCipher::note(std::int64_t extended) {
  ++received_;
  const auto bit = [](std::int64_t of) { return static_cast<std::size_t>(of) % kReplayWindow; };
  if (!first_) first_ = extended;
  if (!newest_ || extended > *newest_) {
    // What lies between came not, whatever those places held a window ago.
    if (newest_ && extended - *newest_ < static_cast<std::int64_t>(kReplayWindow)) {
      for (std::int64_t i = *newest_ + 1; i < extended; ++i) came_.reset(bit(i));
    } else {
      came_.reset();
    }
    newest_ = extended;
  }
  came_.set(bit(extended));
}

std::uint64_t MediaCipher::lost() const {
  if (!newest_ || *newest_ < *first_) return 0;
  const auto expected = static_cast<std::uint64_t>(*newest_ - *first_ + 1);
  return expected > received_ ? expected - received_ : 0;
}

/// The whole counter that lies nearest to the newest one (RFC 3711 §3.3.1); of the first packet,
/// the one below 65,536.
std::int64_t MediaCipher::extend(std::uint16_t sequence) const {
  if (!newest_) return sequence;
  const std::int64_t ahead = static_cast<std::uint16_t>(sequence - (*newest_ & 0xffff));
  return *newest_ + (ahead < kCycle / 2 ? ahead : ahead - kCycle);
}

std::optional<std::uint32_t> media_id_of(ByteView packet) {
  if (packet.size() < kMediaHeaderBytes) return std::nullopt;
  Reader reader(packet.subspan(8, 4));
  return reader.u32();
}

}  // namespace isthmus::quic
