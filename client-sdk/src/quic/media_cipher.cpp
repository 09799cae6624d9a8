#include "quic/media_cipher.hpp"

#include <srtp2/srtp.h>

namespace isthmus::quic {

namespace {

constexpr std::uint8_t kRtpVersion = 0x80;     // version 2, no padding, extension or CSRC
constexpr unsigned long kReplayWindow = 1024;  ///< packets: 0.5 s of 40 calls
/// RFC 3711 §9.2 bounds a key to 2^48 packets. Whoever sends a thousand times what a link can
/// carry in a year gets no further, and dials again.
constexpr std::uint64_t kPacketsPerKey = std::uint64_t{1} << 47;

bool library_ready() {
  static const bool ready = ::srtp_init() == srtp_err_status_ok;
  return ready;
}

srtp_t make_session(const MediaKey& key, srtp_ssrc_type_t type, std::uint32_t ssrc) {
  MediaKey copy = key;
  srtp_policy_t policy{};
  ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
  ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
  policy.ssrc.type = type;
  policy.ssrc.value = ssrc;
  policy.key = copy.data();
  policy.window_size = kReplayWindow;
  srtp_t session = nullptr;
  if (::srtp_create(&session, &policy) != srtp_err_status_ok) return nullptr;
  return session;
}

}  // namespace

std::unique_ptr<MediaCipher> MediaCipher::make(const MediaKey& send, const MediaKey& receive,
                                               std::uint32_t receive_id) {
  if (!library_ready()) return nullptr;
  std::unique_ptr<MediaCipher> made(new MediaCipher);
  made->receive_id_ = receive_id;
  made->send_ = make_session(send, ssrc_any_outbound, 0);
  made->receive_ = make_session(receive, ssrc_specific, receive_id);
  if (made->send_ == nullptr || made->receive_ == nullptr) return nullptr;
  return made;
}

MediaCipher::~MediaCipher() {
  if (send_ != nullptr) ::srtp_dealloc(send_);
  if (receive_ != nullptr) ::srtp_dealloc(receive_);
}

bool MediaCipher::seal(std::uint32_t receiver_id, std::uint32_t clock_ms, Bytes& packet) {
  if (packet.size() < kMediaHeaderBytes || sent_ >= kPacketsPerKey) return false;
  const auto sequence = static_cast<std::uint16_t>(sent_);
  const auto put = [&packet](std::size_t at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      packet[at + static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
    }
  };
  packet[0] = kRtpVersion;
  packet[1] = kMediaPayloadType;
  put(2, sequence, 2);
  put(4, clock_ms, 4);
  put(8, receiver_id, 4);
  const std::size_t plain = packet.size();
  packet.resize(plain + SRTP_MAX_TRAILER_LEN);
  int length = static_cast<int>(plain);
  if (::srtp_protect(send_, packet.data(), &length) != srtp_err_status_ok) return false;
  packet.resize(static_cast<std::size_t>(length));
  ++sent_;
  return true;
}

std::optional<MediaCipher::Opened> MediaCipher::open(MutableBytes packet) {
  fault_ = MediaFault::malformed;
  if (packet.size() <= kMediaOverhead || packet[0] != kRtpVersion ||
      packet[1] != kMediaPayloadType || media_id_of(packet) != receive_id_) {
    return std::nullopt;
  }
  int length = static_cast<int>(packet.size());
  switch (::srtp_unprotect(receive_, packet.data(), &length)) {
    case srtp_err_status_ok:
      break;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
      fault_ = MediaFault::replayed;
      return std::nullopt;
    default:
      fault_ = MediaFault::forged;
      return std::nullopt;
  }
  ++received_;
  const auto sequence = static_cast<std::uint16_t>(packet[2] << 8 | packet[3]);
  const std::uint64_t extended = extend(sequence);
  const bool newest = !newest_ || extended > *newest_;
  if (!first_) first_ = extended;
  if (newest) newest_ = extended;
  return Opened{
      packet.subspan(kMediaHeaderBytes, static_cast<std::size_t>(length) - kMediaHeaderBytes),
      newest};
}

std::uint64_t MediaCipher::lost() const {
  if (!newest_ || *newest_ < *first_) return 0;
  const std::uint64_t expected = *newest_ - *first_ + 1;
  return expected > received_ ? expected - received_ : 0;
}

/// The whole counter that lies nearest to the newest one (RFC 3711 §3.3.1).
std::uint64_t MediaCipher::extend(std::uint16_t sequence) const {
  constexpr std::uint64_t kCycle = 0x10000;
  // One cycle ahead, so that what came before the first packet has a place below it.
  if (!newest_) return kCycle + sequence;
  const auto ahead = static_cast<std::uint16_t>(sequence - static_cast<std::uint16_t>(*newest_));
  if (ahead < kCycle / 2) return *newest_ + ahead;
  return *newest_ - (kCycle - ahead);
}

std::optional<std::uint32_t> media_id_of(ByteView packet) {
  if (packet.size() < kMediaHeaderBytes) return std::nullopt;
  Reader reader(packet.subspan(8, 4));
  return reader.u32();
}

}  // namespace isthmus::quic
