#include "app/sip_sockets.hpp"

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>

#include "net/asio_address.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace asio = boost::asio;
using sip::Transport;

namespace {

transport::SipStreamConfig stream_config(const ops::SipConfig& config) {
  transport::SipStreamConfig stream;
  stream.times.idle = config.tcp.idle_timeout;
  stream.times.ping = config.tcp.keep_alive;
  stream.max_connections = config.tcp.max_connections;
  stream.max_connections_per_source = config.tcp.max_connections_per_source;
  stream.tls = {config.tls.certificate, config.tls.private_key, config.tls.client_ca,
                config.tls.require_client_certificate};
  return stream;
}

/// Our own address of a family: the one by which the system reaches whom we will speak to, or, when
/// that is not known, anybody (addresses that no one has: RFC 5737, RFC 3849).
IpAddress own_address(bool v4, const std::optional<Endpoint>& toward) {
  std::array<std::uint8_t, 16> documentation{0x20, 0x01, 0x0d, 0xb8};
  documentation[15] = 1;
  const IpAddress anybody = v4 ? IpAddress::v4(0xC0000201) : IpAddress::v6(documentation);
  std::optional<IpAddress> found;
  if (toward && toward->address.is_v4() == v4) found = source_address_toward(*toward);
  if (!found) found = source_address_toward({anybody, 5060});
  if (found) return *found;
  std::array<std::uint8_t, 16> loopback{};
  loopback[15] = 1;
  return v4 ? IpAddress::v4(0x7f000001) : IpAddress::v6(loopback);
}

}  // namespace

std::optional<IpAddress> source_address_toward(const Endpoint& destination) {
  boost::system::error_code error;
  asio::io_context io;
  auto endpoint = net::to_asio<asio::ip::udp>(destination);
  asio::ip::udp::socket socket(io);
  socket.open(endpoint.protocol(), error);
  if (!error) socket.connect(endpoint, error);  // sends nothing: asks the routing table
  if (error) return std::nullopt;
  auto local = socket.local_endpoint(error);
  if (error) return std::nullopt;
  return net::from_asio(local.address());
}

transport::TlsPeer tls_peer_of(const ops::ProviderConfig& provider) {
  const ops::ProviderTlsConfig& tls = provider.tls;
  return {tls.name.empty() ? provider.target.host : tls.name,
          tls.ca_file,
          tls.certificate,
          tls.private_key,
          tls.wildcards,
          tls.insecure};
}

SipSockets::SipSockets(asio::io_context& io, const ops::SipConfig& config,
                       transport::SipHandler& handler)
    : io_(io),
      config_(config),
      handler_(handler),
      streams_(io, stream_config(config), handler),
      self_(std::make_shared<SipSockets*>(this)) {}

std::vector<std::string> SipSockets::open(const std::optional<Endpoint>& toward) {
  const ops::SipUdpConfig& udp = config_.udp;
  const ops::SipTlsConfig& tls = config_.tls;
  listen("sip.udp", Transport::udp, {udp.address, udp.port}, udp.advertised_address, toward);
  if (config_.tcp.enabled && faults_.empty()) listen_tcp(toward);
  const auto advertised_as = [&](const std::optional<IpAddress>& own, const IpAddress& bind) {
    const bool same = udp.advertised_address && udp.advertised_address->is_v4() == bind.is_v4();
    return own || !same ? own : udp.advertised_address;
  };
  if (tls.enabled()) {
    const IpAddress bind = tls.address.value_or(udp.address);
    listen("sip.tls", Transport::tls, {bind, tls.port}, advertised_as(tls.advertised_address, bind),
           toward);
  }
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const ops::SipListenerConfig& more = config_.listeners[i];
    const std::string key = "sip.listeners[" + std::to_string(i) + "]";
    listen(key.c_str(), more.transport, {more.address, more.port},
           advertised_as(more.advertised_address, more.address), toward);
  }
  return std::move(faults_);
}

void SipSockets::listen_tcp(const std::optional<Endpoint>& toward) {
  const ops::SipTcpConfig& tcp = config_.tcp;
  const Place& udp = places_.front();
  const IpAddress bind = tcp.address.value_or(config_.udp.address);
  std::optional<IpAddress> advertised = tcp.advertised_address;
  if (!advertised && bind == config_.udp.address) advertised = udp.advertised.address;
  listen("sip.tcp", Transport::tcp, {bind, tcp.port.value_or(udp.bound.port)}, advertised, toward);
  const bool any_port = !tcp.port && config_.udp.port == 0;
  if (!any_port || faults_.empty()) return;
  faults_.clear();  // the number that UDP was given is taken for TCP: any other will do
  listen("sip.tcp", Transport::tcp, {bind, 0}, advertised, toward);
}

void SipSockets::listen(const char* key, Transport transport, const Endpoint& bind,
                        const std::optional<IpAddress>& advertised,
                        const std::optional<Endpoint>& toward) {
  const auto local = static_cast<std::uint32_t>(places_.size());
  const auto cannot = [&](const std::string& why) {
    faults_.push_back(std::string(key) + ": cannot listen on " + bind.to_string() + ": " + why);
  };
  Endpoint bound;
  std::unique_ptr<transport::SipUdp> udp;
  if (transport == Transport::udp) {
    transport::SipUdpConfig options;
    options.bind = bind;
    options.local = local;
    auto opened = transport::SipUdp::open(io_, options, handler_);
    if (!opened) return cannot(opened.error().to_string());
    udp = std::move(*opened);
    bound = udp->local();
  } else {
    auto opened = streams_.listen(transport, bind, local);
    if (!opened) return cannot(opened.error().text);
    bound = *opened;
  }
  const bool any = bind.address.is_unspecified();
  const IpAddress address = advertised ? *advertised
                            : any      ? own_address(bind.address.is_v4(), toward)
                                       : bind.address;
  places_.push_back({transport, bound, {address, bound.port}});
  udp_.push_back(std::move(udp));
}

void SipSockets::close() {
  *self_ = nullptr;
  for (const auto& udp : udp_) {
    if (udp) udp->close();
  }
  streams_.close();
}

transport::SipUdp* SipSockets::udp_for(const sip::Flow& flow) {
  const bool v4 = flow.remote.address.is_v4();
  const auto fits = [&](std::size_t i) {
    return udp_[i] && places_[i].bound.address.is_v4() == v4;
  };
  if (flow.local < udp_.size() && fits(flow.local)) return udp_[flow.local].get();
  for (std::size_t i = 0; i < udp_.size(); ++i) {
    if (fits(i)) return udp_[i].get();
  }
  return nullptr;
}

transport::SendOutcome SipSockets::send(const sip::Flow& flow, std::string_view bytes) {
  if (flow.is_stream()) return streams_.send(flow, bytes);
  if (transport::SipUdp* udp = udp_for(flow)) return udp->send(flow, bytes);
  asio::post(io_, [self = self_, flow] {  // no socket of that address family
    if (*self) (*self)->handler_.on_flow_failed(flow, net::clock_now());
  });
  return transport::SendOutcome::unreachable;
}

std::vector<call::SentBy> SipSockets::sent_by() const {
  std::vector<call::SentBy> list;
  for (const Place& place : places_) list.emplace_back(place.transport, place.advertised);
  return list;
}

std::vector<std::string> SipSockets::own_hosts() const {
  std::vector<std::string> hosts;
  for (const Place& place : places_) {
    hosts.push_back(place.advertised.to_string());
    if (!place.bound.address.is_unspecified()) hosts.push_back(place.bound.to_string());
    const std::uint16_t usual = place.transport == Transport::tls ? 5061 : 5060;
    if (place.bound.port == usual) hosts.push_back(place.advertised.address.to_uri_host());
  }
  return hosts;
}

const SipSockets::Place* SipSockets::first_of(bool ipv6) const {
  for (const Place& place : places_) {
    if (place.bound.address.is_v4() != ipv6) return &place;
  }
  return nullptr;
}

void SipSockets::collect_metrics(ops::Metrics& metrics) const {
  transport::SipUdpCounters udp;
  std::uint64_t malformed = 0;
  for (const auto& socket : udp_) {
    if (!socket) continue;
    const transport::SipUdpCounters& one = socket->counters();
    udp.datagrams_in += one.datagrams_in;
    udp.datagrams_out += one.datagrams_out;
    udp.source_refused += one.source_refused;
    for (std::uint64_t count : one.faults) malformed += count;
  }
  const transport::SipStreamCounters& streams = streams_.counters();
  for (std::uint64_t count : streams.faults) malformed += count;
  const auto set = [&](const char* name, const char* help, std::uint64_t value) {
    metrics.counter(name, help).set(value);
  };
  set("isthmus_sip_datagrams_in_total", "Datagrams on the SIP sockets", udp.datagrams_in);
  set("isthmus_sip_datagrams_out_total", "Datagrams sent from the SIP sockets", udp.datagrams_out);
  set("isthmus_sip_source_refused_total",
      "Datagrams and connections from sources that are not served",
      udp.source_refused + streams.source_refused);
  set("isthmus_sip_malformed_total", "What came and is no sound SIP message", malformed);
  set("isthmus_sip_stream_messages_in_total", "Messages that came by TCP or TLS",
      streams.messages_in);
  set("isthmus_sip_stream_messages_out_total", "Messages that went by TCP or TLS",
      streams.messages_out);
  set("isthmus_sip_connections_accepted_total", "TCP and TLS connections of others",
      streams.accepted);
  set("isthmus_sip_connections_opened_total", "TCP and TLS connections to others", streams.opened);
  set("isthmus_sip_connections_over_limit_total", "Connections refused because of a limit",
      streams.over_limit);
  for (Transport transport : {Transport::tcp, Transport::tls}) {
    for (bool accepted : {false, true}) {
      metrics
          .gauge("isthmus_sip_connections", "TCP and TLS connections at this moment",
                 {{"transport", transport == Transport::tcp ? "tcp" : "tls"},
                  {"opened_by", accepted ? "peer" : "us"}})
          .set(static_cast<double>(streams_.open_connections(transport, accepted)));
    }
  }
  for (std::size_t i = 1; i < transport::SipStreamCounters::kEnds; ++i) {
    const auto why = static_cast<transport::ConnectionEnd>(i);
    metrics
        .counter("isthmus_sip_connections_ended_total", "Ends of TCP and TLS connections",
                 {{"reason", transport::to_text(why)}})
        .set(streams.ends(why));
  }
}

}  // namespace isthmus::app
