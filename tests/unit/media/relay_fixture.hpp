#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <string>

#include "base/limits.hpp"
#include "media/relay.hpp"
#include "rtp/rtcp.hpp"
#include "unit/media/media_support.hpp"
#include "unit/transport/udp_peer.hpp"

namespace isthmus::test {

/// A relay on a loopback address of its own, with two links.
class RelayFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSession = 11, kOtherSession = 22;

  RelayFixture() {
    config.bind_v4 = own_loopback();
    config.port_low = 30000;
    config.port_high = 30019;
  }
  void start() {
    relay.emplace(io, config, random);
    relay->add_session(kSession, link);
    relay->add_session(kOtherSession, other_link);
  }

  call::LocalMedia network() { return must(relay->open_network(false)); }
  call::LocalMedia channels(std::uint64_t session = kSession) {
    return must(relay->open_link(session));
  }
  static call::LocalMedia must(const Result<call::LocalMedia, call::MediaError>& opened) {
    EXPECT_TRUE(opened);
    return opened ? *opened : call::LocalMedia{};
  }
  static call::RemoteMedia at(const Endpoint& endpoint) {
    call::RemoteMedia remote;
    remote.address = endpoint.address;
    remote.port = endpoint.port;
    return remote;
  }
  static call::RemoteMedia on_channel(std::uint16_t channel) {
    call::RemoteMedia remote;
    remote.port = channel;
    return remote;
  }
  static Endpoint rtp_of(const call::LocalMedia& local) { return {local.address, local.port}; }
  static Endpoint rtcp_of(const call::LocalMedia& local) {
    return {local.address, static_cast<std::uint16_t>(local.port + 1)};
  }
  void from_link(std::uint32_t channel, ByteView bytes, std::uint64_t session = kSession) {
    relay->on_link_media(session, channel, bytes, std::chrono::steady_clock::now());
  }
  /// Sends from the network and lets the relay take it.
  void from_network(UdpPeer& peer, const Endpoint& to, ByteView bytes) {
    const auto before = relay->counters().packets_in;
    peer.send(to, bytes);
    EXPECT_TRUE(run_until(io, [&] { return relay->counters().packets_in > before; }));
  }
  std::string receive(UdpPeer& peer) { return peer.receive(io).value_or("nothing came"); }
  static std::string text(const Bytes& bytes) { return std::string(as_text(bytes)); }
  std::uint64_t drops(media::DropReason reason) const { return relay->counters().dropped(reason); }
  std::uint64_t all_drops() const {
    const auto& all = relay->counters().drops;
    return std::accumulate(all.begin(), all.end(), std::uint64_t{0});
  }

  static Bytes rtcp(std::uint64_t ntp = 0x0102030405060708) {
    rtp::RtcpCompound compound;
    compound.sender_ssrc = 0x1111;
    compound.sender = rtp::SenderInfo{ntp, 1, 2, 3};
    compound.cname = "someone@example.com";
    Bytes out;
    compound.write(out);
    return out;
  }
  static Bytes rtcp_report(std::uint32_t last_sr) {
    rtp::RtcpCompound compound;
    compound.sender_ssrc = 0x2222;
    rtp::ReportBlock block;
    block.ssrc = 0x1111;
    block.last_sr = last_sr;
    compound.reports = {block};
    Bytes out;
    compound.write(out);
    return out;
  }

  boost::asio::io_context io;
  SeededRandom random{42};
  media::RelayConfig config;
  RecordingLink link, other_link;
  std::optional<media::Relay> relay;
};

}  // namespace isthmus::test
