#include "quic/media_cipher.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "base/random.hpp"

namespace isthmus::quic {
namespace {

class MediaCipherTest : public ::testing::Test {
 protected:
  MediaCipherTest() {
    SeededRandom random(3);
    random.fill(keys_.client);
    random.fill(keys_.server);
    client_ = MediaCipher::make(keys_.client, keys_.server, 0x11111111);
    server_ = MediaCipher::make(keys_.server, keys_.client, 0x22222222);
  }
  Bytes sealed(std::string_view payload) {
    Bytes packet(kMediaHeaderBytes);
    packet.insert(packet.end(), payload.begin(), payload.end());
    EXPECT_TRUE(client_->seal(0x22222222, 1234, packet));
    return packet;
  }
  MediaKeys keys_;
  std::unique_ptr<MediaCipher> client_, server_;
};

TEST_F(MediaCipherTest, a_packet_has_the_header_that_the_protocol_says) {
  Bytes packet = sealed("frames");
  EXPECT_EQ(packet.size(), 6 + kMediaOverhead);
  EXPECT_EQ(to_hex(ByteView(packet).first(12)), "80600000000004d222222222");
  EXPECT_EQ(media_id_of(packet), 0x22222222u);
  const auto opened = server_->open(packet);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(opened->payload), "frames");
  EXPECT_TRUE(opened->newest);
}

TEST_F(MediaCipherTest, the_directions_have_keys_of_their_own) {
  Bytes packet = sealed("reflected");
  packet[8] = packet[9] = packet[10] = packet[11] = 0x11;
  EXPECT_FALSE(client_->open(packet));
  EXPECT_EQ(client_->fault(), MediaFault::forged);
}

TEST_F(MediaCipherTest, every_packet_opens_once_across_many_turns_of_the_counter) {
  std::deque<std::pair<int, Bytes>> late;
  std::uint64_t newest = 0;
  SeededRandom random(9);
  constexpr int kPackets = 200'000;  // three turns of 16 bits
  for (int i = 0; i < kPackets; ++i) {
    Bytes packet = sealed("p");
    if (i > 0 && random.below(100) == 0) {
      late.emplace_back(i, std::move(packet));
      continue;
    }
    Bytes copy = packet;
    const auto opened = server_->open(packet);
    ASSERT_TRUE(opened) << i;
    newest += opened->newest;
    if (i % 1000 == 0) {
      EXPECT_FALSE(server_->open(copy));
      EXPECT_EQ(server_->fault(), MediaFault::replayed);
    }
    if (!late.empty() && i - late.front().first > 500) {  // within the window of replays
      const auto old = server_->open(late.front().second);
      ASSERT_TRUE(old) << i;
      EXPECT_FALSE(old->newest);
      late.pop_front();
    }
  }
  EXPECT_EQ(server_->lost(), late.size());
  EXPECT_GT(newest, std::uint64_t{kPackets} * 9 / 10);
}

TEST_F(MediaCipherTest, every_flipped_bit_is_noticed) {
  const Bytes good = sealed("payload");
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_FALSE(server_->open(bad)) << bit;
  }
  Bytes last = good;
  EXPECT_TRUE(server_->open(last));
}

TEST_F(MediaCipherTest, short_packets_are_malformed) {
  const Bytes good = sealed("payload");
  for (std::size_t size = 0; size <= kMediaOverhead; ++size) {
    Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(server_->open(cut));
    EXPECT_EQ(server_->fault(), MediaFault::malformed);
  }
}

TEST_F(MediaCipherTest, a_key_seals_no_more_packets_than_it_may) {
  const auto cipher = MediaCipher::make(keys_.client, keys_.server, 7, 3);
  ASSERT_NE(cipher, nullptr);
  for (int i = 0; i < 4; ++i) {
    Bytes packet(kMediaHeaderBytes + 20);
    EXPECT_EQ(cipher->seal(9, 0, packet), i < 3) << i;
  }
  EXPECT_EQ(cipher->sealed(), 3u);
}

}  // namespace
}  // namespace isthmus::quic
