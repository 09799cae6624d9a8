// Our media packets beside libsrtp's: what one seals the other opens.
#include <gtest/gtest.h>
#include <srtp2/srtp.h>

#include "base/random.hpp"
#include "quic/media_cipher.hpp"

namespace isthmus::quic {
namespace {

class Libsrtp {
 public:
  Libsrtp(MediaKey key, srtp_ssrc_type_t type) {
    static const auto ready = ::srtp_init();
    EXPECT_EQ(ready, srtp_err_status_ok);
    srtp_policy_t policy{};
    ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
    ::srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    policy.ssrc.type = type;
    policy.key = key.data();
    policy.window_size = 1024;
    EXPECT_EQ(::srtp_create(&session_, &policy), srtp_err_status_ok);
  }
  ~Libsrtp() { ::srtp_dealloc(session_); }
  Libsrtp(const Libsrtp&) = delete;
  Libsrtp& operator=(const Libsrtp&) = delete;

  bool open(Bytes& packet) {
    int length = static_cast<int>(packet.size());
    if (::srtp_unprotect(session_, packet.data(), &length) != srtp_err_status_ok) return false;
    packet.resize(static_cast<std::size_t>(length));
    return true;
  }
  bool seal(Bytes& packet) {
    int length = static_cast<int>(packet.size());
    packet.resize(packet.size() + SRTP_MAX_TRAILER_LEN);
    if (::srtp_protect(session_, packet.data(), &length) != srtp_err_status_ok) return false;
    packet.resize(static_cast<std::size_t>(length));
    return true;
  }

 private:
  srtp_t session_ = nullptr;
};

constexpr std::uint32_t kId = 0x0a0b0c0d;
constexpr int kPackets = 70'000;  // past a turn of the sequence number

TEST(MediaCipherDifferential, libsrtp_opens_what_we_seal) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  MediaKeys keys;
  random.fill(keys.client);
  random.fill(keys.server);
  const auto ours = MediaCipher::make(keys.client, keys.server, 1);
  Libsrtp theirs(keys.client, ssrc_any_inbound);
  for (int i = 0; i < kPackets; ++i) {
    Bytes plain(1 + random.below(i % 1000 == 0 ? 1400 : 40));
    random.fill(plain);
    Bytes packet(kMediaHeaderBytes);
    packet.insert(packet.end(), plain.begin(), plain.end());
    ASSERT_TRUE(ours->seal(kId, static_cast<std::uint32_t>(i), packet)) << i;
    if (random.below(10) == 0) continue;  // lost
    ASSERT_TRUE(theirs.open(packet)) << i;
    ASSERT_TRUE(
        std::equal(plain.begin(), plain.end(), packet.begin() + kMediaHeaderBytes, packet.end()))
        << i;
  }
}

TEST(MediaCipherDifferential, we_open_what_libsrtp_seals) {
  constexpr std::uint64_t kSeed = 6;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  MediaKeys keys;
  random.fill(keys.client);
  random.fill(keys.server);
  const auto ours = MediaCipher::make(keys.client, keys.server, kId);
  Libsrtp theirs(keys.server, ssrc_any_outbound);
  for (int i = 0; i < kPackets; ++i) {
    Bytes plain(1 + random.below(40));
    random.fill(plain);
    Bytes packet;
    Writer writer(packet);
    writer.u8(0x80);
    writer.u8(kMediaPayloadType);
    writer.u16(static_cast<std::uint16_t>(i));
    writer.u32(static_cast<std::uint32_t>(i));
    writer.u32(kId);
    writer.bytes(plain);
    ASSERT_TRUE(theirs.seal(packet)) << i;
    if (random.below(10) == 0) continue;
    Bytes copy = packet;
    const auto opened = ours->open(packet);
    ASSERT_TRUE(opened) << i;
    ASSERT_EQ(to_hex(opened->payload), to_hex(plain)) << i;
    if (i % 100 == 0) {
      EXPECT_FALSE(ours->open(copy)) << i;
    }
  }
}

}  // namespace
}  // namespace isthmus::quic
