#include "audio/g711.hpp"

#include <gtest/gtest.h>
#include <sndfile.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "rtp/g711.hpp"

namespace isthmus::audio {
namespace {

using rtp::alaw_to_linear;
using rtp::linear_to_alaw;
using rtp::linear_to_ulaw;
using rtp::ulaw_to_linear;

/// Memory as a file for libsndfile, which has its own G.711 tables.
struct MemoryFile {
  Bytes bytes;
  sf_count_t position = 0;

  static MemoryFile& of(void* user) { return *static_cast<MemoryFile*>(user); }
  static sf_count_t length(void* user) { return static_cast<sf_count_t>(of(user).bytes.size()); }
  static sf_count_t seek(sf_count_t offset, int whence, void* user) {
    MemoryFile& file = of(user);
    file.position = offset + (whence == SEEK_CUR   ? file.position
                              : whence == SEEK_END ? length(user)
                                                   : 0);
    return file.position;
  }
  static sf_count_t read(void* out, sf_count_t count, void* user) {
    MemoryFile& file = of(user);
    const sf_count_t got = std::min(count, length(user) - file.position);
    std::memcpy(out, file.bytes.data() + file.position, static_cast<std::size_t>(got));
    file.position += got;
    return got;
  }
  static sf_count_t write(const void* in, sf_count_t count, void* user) {
    MemoryFile& file = of(user);
    const auto end = static_cast<std::size_t>(file.position + count);
    if (file.bytes.size() < end) file.bytes.resize(end);
    std::memcpy(file.bytes.data() + file.position, in, static_cast<std::size_t>(count));
    file.position += count;
    return count;
  }
  static sf_count_t tell(void* user) { return of(user).position; }
};

SF_VIRTUAL_IO memory_io() {
  return {MemoryFile::length, MemoryFile::seek, MemoryFile::read, MemoryFile::write,
          MemoryFile::tell};
}

SF_INFO raw_format(int law) {
  SF_INFO info{};
  info.samplerate = 8000;
  info.channels = 1;
  info.format = SF_FORMAT_RAW | law;
  return info;
}

Bytes sndfile_encode(int law, SampleView samples) {
  MemoryFile file;
  SF_VIRTUAL_IO io = memory_io();
  SF_INFO info = raw_format(law);
  SNDFILE* sound = sf_open_virtual(&io, SFM_WRITE, &info, &file);
  EXPECT_NE(sound, nullptr);
  sf_write_short(sound, samples.data(), static_cast<sf_count_t>(samples.size()));
  sf_close(sound);
  return file.bytes;
}

Samples sndfile_decode(int law, const Bytes& codes) {
  MemoryFile file{codes};
  SF_VIRTUAL_IO io = memory_io();
  SF_INFO info = raw_format(law);
  SNDFILE* sound = sf_open_virtual(&io, SFM_READ, &info, &file);
  EXPECT_NE(sound, nullptr);
  Samples out(codes.size());
  EXPECT_EQ(sf_read_short(sound, out.data(), static_cast<sf_count_t>(out.size())),
            static_cast<sf_count_t>(out.size()));
  sf_close(sound);
  return out;
}

Samples all_samples() {
  Samples all;
  for (int value = -32768; value <= 32767; ++value) all.push_back(static_cast<std::int16_t>(value));
  return all;
}

using Encode = std::uint8_t (*)(std::int16_t);
using Decode = std::int16_t (*)(std::uint8_t);

int error_of(int sample, int decoded) {
  return std::abs(sample - decoded);
}

/// The laws as ITU-T G.711 tables 1 and 2 give them: decision values that grow by a step which
/// doubles from segment to segment; a value is sent as the interval it lies in and comes back as
/// its middle.
struct Law {
  std::vector<int> decisions;  ///< lower ends of the intervals, 16-bit scale

  int quantise(int sample) const {
    const int magnitude = std::abs(sample);
    const auto above = std::upper_bound(decisions.begin(), decisions.end() - 1, magnitude);
    const int low = *(above - 1);
    const int middle = above == decisions.begin() + 1 && low_is_zero ? 0 : (low + *above) / 2;
    return sample < 0 ? -middle : middle;
  }
  bool low_is_zero = false;  ///< the first interval is half as wide and stands for 0 (mu-law)
};

Law law_of(G711Law which) {
  Law law;
  law.low_is_zero = which == G711Law::mu;
  int at = 0;
  law.decisions.push_back(at);
  if (which == G711Law::mu) {
    law.decisions.push_back(at = 4);
    for (int i = 0; i < 15; ++i) law.decisions.push_back(at += 8);
    for (int step = 16; step <= 1024; step *= 2) {
      for (int i = 0; i < 16; ++i) law.decisions.push_back(at += step);
    }
  } else {
    for (int i = 0; i < 32; ++i) law.decisions.push_back(at += 16);
    for (int step = 32; step <= 1024; step *= 2) {
      for (int i = 0; i < 16; ++i) law.decisions.push_back(at += step);
    }
  }
  return law;
}

void expect_as_tabled(Encode encode, Decode decode, G711Law which) {
  const Law law = law_of(which);
  EXPECT_EQ(law.decisions.size(), 129u);
  for (const std::int16_t sample : all_samples()) {
    ASSERT_EQ(decode(encode(sample)), law.quantise(sample)) << "sample " << sample;
  }
}

void expect_like_sndfile(Encode encode, Decode decode, int law) {
  Bytes codes(256);
  for (unsigned code = 0; code < 256; ++code) codes[code] = static_cast<std::uint8_t>(code);
  const Samples theirs = sndfile_decode(law, codes);
  for (unsigned code = 0; code < 256; ++code) {
    ASSERT_EQ(decode(codes[code]), theirs[code]) << "code " << code;
  }
  // Its encoder drops low bits first, so it may differ by a step, but never be closer.
  const Samples all = all_samples();
  const Bytes encoded = sndfile_encode(law, all);
  ASSERT_EQ(encoded.size(), all.size());
  std::size_t equal = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint8_t ours = encode(all[i]);
    if (ours == encoded[i]) ++equal;
    ASSERT_LE(error_of(all[i], decode(ours)), error_of(all[i], decode(encoded[i])))
        << "sample " << all[i];
  }
  EXPECT_GT(equal, all.size() * 95 / 100);
}

TEST(G711, ulaw_quantises_every_sample_as_the_recommendation_has_it) {
  expect_as_tabled(linear_to_ulaw, ulaw_to_linear, G711Law::mu);
}

TEST(G711, alaw_quantises_every_sample_as_the_recommendation_has_it) {
  expect_as_tabled(linear_to_alaw, alaw_to_linear, G711Law::a);
}

TEST(G711, ulaw_agrees_with_libsndfile) {
  expect_like_sndfile(linear_to_ulaw, ulaw_to_linear, SF_FORMAT_ULAW);
}

TEST(G711, alaw_agrees_with_libsndfile) {
  expect_like_sndfile(linear_to_alaw, alaw_to_linear, SF_FORMAT_ALAW);
}

TEST(G711, codes_survive_decoding_and_encoding) {
  for (unsigned code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    EXPECT_EQ(linear_to_alaw(alaw_to_linear(byte)), byte);
    // mu-law has two zeros (G.711 §2.2); the positive one comes back.
    if (byte != 0x7f) {
      EXPECT_EQ(linear_to_ulaw(ulaw_to_linear(byte)), byte);
    }
  }
  EXPECT_EQ(linear_to_ulaw(ulaw_to_linear(0x7f)), 0xff);
}

TEST(G711, known_codes_of_the_recommendation) {
  EXPECT_EQ(linear_to_ulaw(0), 0xff);
  EXPECT_EQ(linear_to_ulaw(32767), 0x80);
  EXPECT_EQ(linear_to_ulaw(-32768), 0x00);
  EXPECT_EQ(linear_to_alaw(0), 0xd5);
  EXPECT_EQ(linear_to_alaw(32767), 0xaa);
  EXPECT_EQ(linear_to_alaw(-32768), 0x2a);
}

TEST(G711, packet_longer_than_120_ms_or_empty_is_refused) {
  G711Codec codec(G711Law::mu);
  Samples out;
  EXPECT_FALSE(codec.decode(Bytes(961, 0xff), out));
  EXPECT_FALSE(codec.decode({}, out));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(codec.decode(Bytes(960, 0xff), out));
  EXPECT_EQ(out.size(), 960u);
  Bytes payload;
  EXPECT_FALSE(codec.encode(Samples(961), payload));
}

}  // namespace
}  // namespace isthmus::audio
