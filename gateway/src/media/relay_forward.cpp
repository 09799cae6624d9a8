// The hot path: from a datagram or frame to the one that leaves. No allocation, lock or log line
// here.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "media/relay.hpp"
#include "media/stream.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::media {
namespace {

/// Sequence number, primary IFP packet with its length, and what repairs losses.
bool is_udptl(ByteView bytes) {
  return bytes.size() >= 4;
}

constexpr std::size_t kRtcpHeaderBytes = 8;  // the shortest packet with an SSRC

DropReason to_drop(SourceVerdict verdict) {
  switch (verdict) {
    case SourceVerdict::accepted:
      return DropReason::none;
    case SourceVerdict::no_remote:
      return DropReason::no_remote;
    case SourceVerdict::unproven:
      return DropReason::unproven_source;
    case SourceVerdict::wrong_source:
      break;
  }
  return DropReason::wrong_source;
}

bool is_control(ByteView bytes) {
  return bytes.size() >= kRtcpHeaderBytes && (bytes[0] >> 6) == 2 && rtp::is_rtcp(bytes);
}

}  // namespace

void Relay::read_port(Port& port) {
  Dispatch dispatch(*this);
  for (int round = 0; round < limits::kMediaBatchesPerTurn && port.socket.is_open(); ++round) {
    const int received = port.socket.receive(batch_);
    if (received == -EAGAIN) return;
    if (received < 0) {
      ++counters_.receive_errors;
      continue;
    }
    const Instant now = std::chrono::steady_clock::now();
    const auto datagrams = static_cast<std::size_t>(received);
    for (std::size_t i = 0; i < datagrams && !port.stream.closed; ++i) {
      const auto datagram = batch_.datagram(i);
      ++counters_.packets_in;
      counters_.bytes_in += datagram.bytes.size();
      count(&port.stream, datagram.truncated
                              ? DropReason::too_large
                              : on_network_packet(port.stream, port.control, datagram.source,
                                                  datagram.bytes, now));
    }
    if (datagrams < batch_.size()) return;
  }
}

DropReason Relay::on_network_packet(Stream& stream, bool control_port, const Endpoint& source,
                                    ByteView bytes, Instant now) {
  if (stream.remote.udptl && !control_port) return on_fax(stream, source, bytes, now);
  const bool muxed = !control_port && stream.remote.rtcp_mux && is_control(bytes);
  if (control_port || muxed) {
    if (!is_control(bytes)) return DropReason::not_rtp;
    const auto verdict = muxed ? stream.media_latch.on_muxed_control(source)
                               : stream.control_latch.on_control(source, stream.media_latch);
    if (verdict != SourceVerdict::accepted) return to_drop(verdict);
    return on_control(stream, bytes, now);
  }
  const auto packet = rtp::RtpView::parse(bytes);
  if (!packet) return DropReason::not_rtp;
  const auto verdict = stream.media_latch.on_media(source, packet->ssrc(), packet->sequence(), now);
  if (verdict != SourceVerdict::accepted) return to_drop(verdict);
  stream.received.on_packet(packet->sequence(), packet->timestamp(), packet->ssrc(),
                            packet->payload().size(), now);
  stream.last_packet = now;
  return forward_rtp(stream, *packet, bytes, now);
}

void Relay::on_link_media(std::uint64_t session, std::uint32_t channel, ByteView bytes,
                          Instant now) {
  Dispatch dispatch(*this);
  ++counters_.packets_in;
  counters_.bytes_in += bytes.size();
  Stream* stream = nullptr;
  const DropReason outcome = on_link_packet(session, channel, bytes, now, stream);
  count(stream, outcome);
}

DropReason Relay::on_link_packet(std::uint64_t session, std::uint32_t channel, ByteView bytes,
                                 Instant now, Stream*& stream) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return DropReason::unknown_session;
  if (channel < limits::kFirstMediaChannel) return DropReason::unknown_channel;
  const std::size_t pair = (channel - limits::kFirstMediaChannel) / 2;
  const auto& pairs = found->second->pairs;
  stream = pair < pairs.size() ? pairs[pair] : nullptr;
  if (!stream) return DropReason::unknown_channel;
  if (bytes.size() > limits::kMediaFrameBytes) return DropReason::too_large;
  const bool control_channel = ((channel - limits::kFirstMediaChannel) & 1) != 0;
  if (stream->remote.udptl && !control_channel) {
    if (!is_udptl(bytes)) return DropReason::not_rtp;
    stream->last_packet = now;
    return forward(*stream, bytes, false, now);
  }
  const bool muxed = !control_channel && stream->remote.rtcp_mux && is_control(bytes);
  if (control_channel || muxed) {
    return is_control(bytes) ? on_control(*stream, bytes, now) : DropReason::not_rtp;
  }
  const auto packet = rtp::RtpView::parse(bytes);
  if (!packet) return DropReason::not_rtp;
  stream->received.on_packet(packet->sequence(), packet->timestamp(), packet->ssrc(),
                             packet->payload().size(), now);
  stream->last_packet = now;
  return forward_rtp(*stream, *packet, bytes, now);
}

/// UDPTL from the network. Its packets begin with a sequence number, which proves a stream from
/// another source than the SDP's as RTP's does; what it carries is no business of the relay.
DropReason Relay::on_fax(Stream& stream, const Endpoint& source, ByteView bytes, Instant now) {
  if (!is_udptl(bytes)) return DropReason::not_rtp;
  const auto sequence = static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
  const auto verdict = stream.media_latch.on_media(source, 0, sequence, now);
  if (verdict != SourceVerdict::accepted) return to_drop(verdict);
  stream.last_packet = now;
  return forward(stream, bytes, false, now);
}

DropReason Relay::on_control(Stream& stream, ByteView bytes, Instant now) {
  stream.last_packet = now;
  const RtcpGlance glance = glance_at_rtcp(bytes);
  for (std::size_t i = 0; i < glance.report_count; ++i) {
    stream.round_trip.on_report(glance.reports[i], now);
  }
  const call::MediaEndpointId peer = stream.peer;
  const DropReason outcome = forward(stream, bytes, true, now);
  if (outcome == DropReason::none && glance.sender_report) {
    if (Stream* to = find(peer)) to->round_trip.on_sent(*glance.sender_report, now);
  }
  return outcome;
}

DropReason Relay::forward_rtp(Stream& from, const rtp::RtpView& packet, ByteView bytes,
                              Instant now) {
  if (from.events) return forward_spliced(from, packet, bytes, now);
  return forward(from, bytes, false, now);
}

DropReason Relay::forward(Stream& from, ByteView bytes, bool control, Instant now) {
  Stream* to = find(from.peer);
  if (!to) return DropReason::no_peer;
  switch (to->kind) {
    case Stream::Kind::network:
    case Stream::Kind::link:
      return send_to(*to, bytes, control);
    case Stream::Kind::echo:
      if (!control) return echo(*to, from, bytes, now);
      break;
    case Stream::Kind::tone:
      break;
  }
  ++counters_.service_packets;
  return DropReason::none;
}

DropReason Relay::send_to(Stream& to, ByteView bytes, bool control) {
  if (!to.has_destination) return DropReason::no_destination;
  const DropReason outcome = to.kind == Stream::Kind::network ? send_to_network(to, bytes, control)
                                                              : send_to_link(to, bytes, control);
  if (outcome == DropReason::none) {
    ++to.packets_sent;
    ++counters_.packets_out;
    counters_.bytes_out += bytes.size();
  }
  return outcome;
}

DropReason Relay::send_to_network(Stream& to, ByteView bytes, bool control) {
  const bool apart = control && !to.remote.rtcp_mux;
  const auto destination = (apart ? to.control_latch : to.media_latch).destination();
  if (!destination) return DropReason::no_destination;
  const int error = (apart ? to.control : to.media).socket.send(*destination, bytes);
  if (error == 0) return DropReason::none;
  return error == EAGAIN || error == ENOBUFS ? DropReason::send_blocked : DropReason::send_failed;
}

DropReason Relay::send_to_link(Stream& to, ByteView bytes, bool control) {
  if (!to.session || !to.session->link) return DropReason::no_link;
  std::uint32_t channel = to.remote.port;
  if (control && !to.remote.rtcp_mux) {
    channel = to.remote.rtcp_port != 0 ? to.remote.rtcp_port : channel + 1;
    if (!is_media_channel(channel)) return DropReason::no_destination;
  }
  to.session->link->send_media(channel, bytes);
  return DropReason::none;
}

/// Sends RTP back to where it came from, with the service's own SSRC.
DropReason Relay::echo(Stream& service, Stream& from, ByteView bytes, Instant now) {
  // Two services joined would have no end.
  if (from.kind != Stream::Kind::network && from.kind != Stream::Kind::link) {
    return DropReason::no_destination;
  }
  std::array<std::uint8_t, limits::kMediaFrameBytes> copy;
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < 4; ++i) {
    copy[8 + i] = static_cast<std::uint8_t>(service.ssrc >> (24 - 8 * i));
  }
  service.last_packet = now;
  return send_to(from, ByteView(copy).first(bytes.size()), false);
}

void Relay::count(Stream* stream, DropReason outcome) {
  if (outcome == DropReason::none) return;
  ++counters_.drops[static_cast<std::size_t>(outcome)];
  if (stream) ++stream->dropped;
}

}  // namespace isthmus::media
