#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"

struct api_aead_cipher_hd_st;

namespace isthmus::quic {

/// Label of the TLS exporter that gives the keys of media packets (RFC 8446 §7.5).
inline constexpr std::string_view kMediaKeyLabel = "EXPORTER-isthmus-media";
inline constexpr std::size_t kMediaHeaderBytes = 12;  ///< RTP without CSRCs (RFC 3550 §5.1)
inline constexpr std::size_t kMediaTagBytes = 16;     ///< AEAD_AES_128_GCM (RFC 7714 §12)
inline constexpr std::size_t kMediaOverhead = kMediaHeaderBytes + kMediaTagBytes;
inline constexpr std::uint8_t kMediaPayloadType = 96;
inline constexpr std::size_t kMediaMasterBytes = 16;  ///< of a MediaKey; the rest is its salt

/// SRTP master key and salt (RFC 7714 §12.1) of one direction.
using MediaKey = std::array<std::uint8_t, 28>;
struct MediaKeys {
  MediaKey client{}, server{};  ///< named by who sends
};

/// Why a packet was not opened.
enum class MediaFault : std::uint8_t {
  malformed,  ///< no RTP packet of the form that links use
  forged,     ///< does not authenticate
  replayed,   ///< came before, or is older than the window
};

/// Seals and opens the media packets of one link: RTP headers around SRTP (RFC 3711) with
/// AEAD_AES_128_GCM (RFC 7714), done here on GnuTLS' cipher (ADR 6 says why). The sender's
/// counter never repeats, a receiver takes each packet once. No allocation after construction, but
/// for a packet's own growth by its tag.
class MediaCipher {
 public:
  /// RFC 3711 §9.2 bounds a key to 2^48 packets. 100 calls of 50 packets/s each would reach half of
  /// that after 890 years: a link whose keys are used up ends, and its client dials again.
  static constexpr std::uint64_t kPacketsPerKey = std::uint64_t{1} << 47;

  /// @param receive_id  SSRC of packets that come. @return nothing when the library fails
  static std::unique_ptr<MediaCipher> make(const MediaKey& send, const MediaKey& receive,
                                           std::uint32_t receive_id,
                                           std::uint64_t packets_per_key = kPacketsPerKey);
  ~MediaCipher();
  MediaCipher(const MediaCipher&) = delete;
  MediaCipher& operator=(const MediaCipher&) = delete;

  /// Seals `packet`, whose first kMediaHeaderBytes are free for the header and whose rest is the
  /// payload, in place. @return false: nothing may be sent, the keys are used up
  bool seal(std::uint32_t receiver_id, std::uint32_t clock_ms, Bytes& packet);

  struct Opened {
    ByteView payload;     ///< in the packet
    bool newest = false;  ///< newer than every packet before
  };
  /// Opens a packet in place. @return nothing: see fault()
  std::optional<Opened> open(MutableBytes packet);
  MediaFault fault() const { return fault_; }

  std::uint64_t sealed() const { return sent_; }
  /// Packets of the peer that never came, as its counter shows.
  std::uint64_t lost() const;

 private:
  /// The session keys of one direction, ready to be used.
  struct Direction {
    api_aead_cipher_hd_st* cipher = nullptr;
    std::array<std::uint8_t, 12> salt{};

    using Nonce = std::array<std::uint8_t, 12>;
    bool start(const MediaKey& master);
    Nonce nonce(std::uint32_t ssrc, std::uint64_t counter) const;
    bool seal(const Nonce& nonce, MutableBytes packet);
    bool open(const Nonce& nonce, MutableBytes packet);
  };
  static constexpr std::size_t kReplayWindow = 1024;  ///< packets: 0.5 s of 40 calls

  MediaCipher() = default;
  std::int64_t extend(std::uint16_t sequence) const;
  bool came_before(std::int64_t extended) const;
  void note(std::int64_t extended);

  Direction send_, receive_;
  std::uint32_t receive_id_ = 0;
  std::uint64_t packets_per_key_ = kPacketsPerKey;
  std::uint64_t sent_ = 0, received_ = 0;
  std::optional<std::int64_t> first_, newest_;
  std::bitset<kReplayWindow> came_;  ///< by counter modulo its size, up to newest_
  MediaFault fault_ = MediaFault::malformed;
};

/// SSRC of a media packet, whoever it is for: the key by which a server finds its link.
/// @return nothing when it is none
std::optional<std::uint32_t> media_id_of(ByteView packet);

}  // namespace isthmus::quic
