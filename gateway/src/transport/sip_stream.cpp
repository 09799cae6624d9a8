#include "transport/sip_stream.hpp"

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "transport/fault_answer.hpp"
#include "transport/via_source.hpp"

namespace isthmus::transport {

namespace asio = boost::asio;
using boost::system::error_code;
using net::clock_now;
using sip::Flow;
using sip::Transport;
using tcp = asio::ip::tcp;

namespace {

/// After accept() failed for want of descriptors or memory: trying again at once would only spin.
constexpr Duration kAcceptPause = milliseconds(100);
/// Times of connections are looked after this often, or four times in the shortest of them.
constexpr Duration kLongestTick = milliseconds(500), kShortestTick = milliseconds(5);

Duration tick_of(const SipStreamTimes& times) {
  Duration shortest = kLongestTick * 4;
  for (Duration time : {times.connect, times.handshake, times.first_message, times.message,
                        times.idle, times.ping, times.pong, times.write, times.linger}) {
    if (time > Duration::zero()) shortest = std::min(shortest, time);
  }
  return std::max(shortest / 4, kShortestTick);
}

}  // namespace

class SipStream::Impl final : public SipConnectionOwner,
                              public std::enable_shared_from_this<SipStream::Impl> {
 public:
  Impl(asio::io_context& io, SipStreamConfig config, SipHandler& handler)
      : io_(io), config_(std::move(config)), handler_(&handler), tick_(io) {}

  Result<Endpoint, SipStreamError> listen(Transport transport, const Endpoint& bind,
                                          std::uint32_t local);
  SendOutcome send(const Flow& flow, std::string_view bytes);
  std::optional<std::string> reload_certificates();
  void close();

  void on_open(SipConnection& connection) override;
  void on_item(SipConnection& connection, const sip::StreamFramer::Item& item) override;
  void on_end(SipConnection& connection) override;

  SipStreamCounters counters_;
  std::unordered_map<Endpoint, TlsPeer, EndpointHash> tls_peers_;
  std::unordered_map<std::uint32_t, TlsPeer> tls_identities_;
  std::array<std::array<std::size_t, 2>, 2> open_{};  ///< TCP, TLS; opened, accepted

 private:
  using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
  struct Listener {
    Listener(asio::io_context& io, Transport over, std::uint32_t number)
        : acceptor(io), pause(io), transport(over), local(number) {}
    Acceptor acceptor;
    asio::steady_timer pause;
    Transport transport;
    std::uint32_t local;
    Endpoint bound;
  };
  /// What the table knows of a connection.
  struct Entry {
    std::shared_ptr<SipConnection> connection;
    std::vector<Flow> also;  ///< flows whose messages were given to it, to be told when it fails
  };

  void accept(const std::shared_ptr<Listener>& listener);
  void admit(const Listener& listener, SipConnection::Socket socket);
  SipConnection* find(const Flow& flow);
  SipConnection* open(const Flow& target);
  TlsPeer peer_of(const Flow& target) const;
  Entry& add(std::shared_ptr<SipConnection> connection);
  std::optional<IpAddress> bind_for(const Flow& target) const;
  void fail_later(const Flow& flow);
  void on_text(SipConnection& connection, std::string_view text);
  void on_fault(SipConnection& connection, std::string_view text, const sip::Fault& fault);
  bool may_answer_fault(Instant now);
  void arm_tick();
  std::size_t& open_of(const SipConnection& connection) {
    return open_[connection.flow().transport == Transport::tls][connection.accepted()];
  }
  std::uint32_t next_id();

  asio::io_context& io_;
  SipStreamConfig config_;
  SipHandler* handler_;  ///< none once closed
  TlsContexts contexts_;
  TlsContexts::Context server_context_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::unordered_map<std::uint32_t, Entry> connections_;
  /// Those that lead to an address, by Flow::to(); also accepted ones of TCP.
  std::unordered_map<Flow, SipConnection*, sip::FlowHash> by_address_;
  std::unordered_map<Endpoint, std::uint32_t, EndpointHash> per_source_;  ///< accepted; port 0
  std::uint32_t last_id_ = 0;
  asio::steady_timer tick_;
  bool ticking_ = false;
  Instant answers_since_{};
  std::uint32_t answers_ = 0;
};

// --- listening

Result<Endpoint, SipStreamError> SipStream::Impl::listen(Transport transport, const Endpoint& bind,
                                                         std::uint32_t local) {
  if (transport == Transport::tls && !server_context_) {
    auto context = TlsContexts::server(config_.tls);
    if (!context) return SipStreamError{context.error().text};
    server_context_ = std::move(*context);
  }
  auto listener = std::make_shared<Listener>(io_, transport, local);
  const auto endpoint = net::to_asio<tcp>(bind);
  Acceptor& acceptor = listener->acceptor;
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && !bind.address.is_v4()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) listener->bound = net::from_asio(acceptor.local_endpoint(error));
  if (error) return SipStreamError{net::to_text(error)};
  listeners_.push_back(listener);
  accept(listener);
  return listener->bound;
}

void SipStream::Impl::accept(const std::shared_ptr<Listener>& listener) {
  auto socket = std::make_shared<SipConnection::Socket>(io_);
  Acceptor& acceptor = listener->acceptor;
  acceptor.async_accept(*socket,
                        [self = shared_from_this(), listener, socket](const error_code& error) {
                          if (!self->handler_ || !listener->acceptor.is_open()) return;
                          if (!error) {
                            self->admit(*listener, std::move(*socket));
                            return self->accept(listener);
                          }
                          ++self->counters_.accept_errors;
                          if (error == asio::error::connection_aborted)
                            return self->accept(listener);
                          listener->pause.expires_after(kAcceptPause);
                          listener->pause.async_wait([self, listener](const error_code& cancelled) {
                            if (!cancelled && self->handler_) self->accept(listener);
                          });
                        });
}

void SipStream::Impl::admit(const Listener& listener, SipConnection::Socket socket) {
  error_code gone;
  const auto from = socket.remote_endpoint(gone);
  if (gone) return;  // reset before we looked
  const Endpoint remote = net::from_asio(from);
  if (!handler_->allowed(remote)) {
    ++counters_.source_refused;
    handler_->on_refused_connection(remote);
    return;
  }
  const auto known = per_source_.find({remote.address, 0});
  const std::uint32_t of_source = known == per_source_.end() ? 0 : known->second;
  if (open_[0][1] + open_[1][1] >= config_.max_connections ||
      of_source >= config_.max_connections_per_source) {
    ++counters_.over_limit;
    return;
  }
  const std::uint32_t id = next_id();
  const bool tls = listener.transport == Transport::tls;
  auto connection = std::make_shared<SipConnection>(
      io_, *this, config_.times, id, Flow{listener.transport, remote, 0, listener.local, id},
      std::move(socket), tls ? server_context_ : nullptr);
  SipConnection& added = *add(std::move(connection)).connection;
  ++per_source_[{remote.address, 0}];
  // Over TLS, requests of ours go to whom we have verified only.
  if (!tls) by_address_.try_emplace(Flow::to(listener.transport, remote), &added);
  added.start_accepted();
}

// --- connections

std::uint32_t SipStream::Impl::next_id() {
  do {
    ++last_id_;
  } while (last_id_ == 0 || connections_.contains(last_id_));
  return last_id_;
}

SipStream::Impl::Entry& SipStream::Impl::add(std::shared_ptr<SipConnection> connection) {
  Entry& entry = connections_[connection->id()];
  entry.connection = std::move(connection);
  ++open_of(*entry.connection);
  if (!ticking_) arm_tick();
  return entry;
}

SipConnection* SipStream::Impl::find(const Flow& flow) {
  if (flow.connection == 0) {
    const auto found = by_address_.find(Flow::to(flow.transport, flow.remote, flow.identity));
    return found != by_address_.end() && found->second->alive() ? found->second : nullptr;
  }
  const auto found = connections_.find(flow.connection);
  if (found == connections_.end()) return nullptr;
  SipConnection& connection = *found->second.connection;
  return connection.alive() && connection.flow() == flow ? &connection : nullptr;
}

/// Packets leave from the address that others know us by, when we are bound to one.
std::optional<IpAddress> SipStream::Impl::bind_for(const Flow& target) const {
  for (const bool same : {true, false}) {
    for (const auto& listener : listeners_) {
      const IpAddress& address = listener->bound.address;
      if (address.is_v4() != target.remote.address.is_v4() || address.is_unspecified()) continue;
      if (!same || listener->transport == target.transport) return address;
    }
  }
  return std::nullopt;
}

TlsPeer SipStream::Impl::peer_of(const Flow& target) const {
  if (target.identity != 0) {
    const auto known = tls_identities_.find(target.identity);
    return known != tls_identities_.end() ? known->second : TlsPeer{};
  }
  const auto known = tls_peers_.find(target.remote);
  return known != tls_peers_.end() ? known->second : TlsPeer{};
}

SipConnection* SipStream::Impl::open(const Flow& target) {
  if (open_[0][0] + open_[1][0] >= config_.max_connections) {
    ++counters_.over_limit;
    return nullptr;
  }
  TlsPeer peer;
  TlsContexts::Context context;
  if (target.transport == Transport::tls) {
    peer = peer_of(target);
    if (peer.name.empty()) peer.name = target.remote.address.to_string();
    auto made = contexts_.client(peer);
    if (!made) {
      handler_->on_connection_trouble(target, made.error().text);
      return nullptr;
    }
    context = std::move(*made);
  }
  auto connection = std::make_shared<SipConnection>(io_, *this, config_.times, next_id(), target,
                                                    SipConnection::Socket(io_), context);
  // Counted as opened from the start: start_opening() says what it is.
  SipConnection& raw = *connection;
  raw.start_opening(bind_for(target), std::move(peer));
  add(std::move(connection));
  by_address_[target] = &raw;
  return &raw;
}

SendOutcome SipStream::Impl::send(const Flow& flow, std::string_view bytes) {
  if (!handler_) return SendOutcome::unreachable;
  if (bytes.size() > limits::kSipMessageBytes) return SendOutcome::too_large;
  SipConnection* connection = find(flow);
  if (!connection) {
    Flow target = Flow::to(flow.transport, flow.remote, flow.identity);
    if (flow.connection != 0) {
      const auto behind = address_behind(bytes, flow);
      if (!behind) {
        fail_later(flow);
        return SendOutcome::unreachable;
      }
      target.remote = *behind;
      connection = find(target);
    }
    if (!connection) connection = open(target);
    if (!connection) {
      fail_later(flow);
      return SendOutcome::unreachable;
    }
  }
  if (connection->flow() != flow) {
    auto& also = connections_[connection->id()].also;
    if (std::find(also.begin(), also.end(), flow) == also.end() &&
        also.size() < limits::kSipStreamGather) {
      also.push_back(flow);
    }
  }
  if (!connection->send(std::string(bytes))) return SendOutcome::blocked;
  ++counters_.messages_out;
  return SendOutcome::sent;
}

void SipStream::Impl::fail_later(const Flow& flow) {
  ++counters_.unreachable;
  asio::post(io_, [self = shared_from_this(), flow] {
    if (self->handler_) self->handler_->on_flow_failed(flow, clock_now());
  });
}

void SipStream::Impl::on_open(SipConnection& connection) {
  ++(connection.accepted() ? counters_.accepted : counters_.opened);
}

void SipStream::Impl::on_end(SipConnection& connection) {
  if (!handler_) return;
  ++counters_.ended[static_cast<std::size_t>(connection.why())];
  const auto found = connections_.find(connection.id());
  if (found == connections_.end()) return;
  const Entry entry = std::move(found->second);
  connections_.erase(found);
  --open_of(connection);
  const Flow flow = connection.flow();
  const auto leads = by_address_.find(Flow::to(flow.transport, flow.remote, flow.identity));
  if (leads != by_address_.end() && leads->second == &connection) by_address_.erase(leads);
  if (connection.accepted()) {
    const auto source = per_source_.find({flow.remote.address, 0});
    if (source != per_source_.end() && --source->second == 0) per_source_.erase(source);
  }
  if (!connection.trouble().empty() && connection.why() != ConnectionEnd::peer_closed) {
    handler_->on_connection_trouble(flow, connection.trouble());
  }
  const bool failed = !connection.was_open() || connection.unsent();
  const Instant now = clock_now();
  if (connection.accepted() && !connection.was_open()) return;  // nobody knows of it
  std::vector<Flow> flows = entry.also;
  flows.insert(flows.begin(), flow);
  // The same connection as others named it: by its number, or by its address.
  if (connection.accepted() && flow.transport == Transport::tcp) {
    flows.push_back(Flow::to(flow.transport, flow.remote));
  }
  for (const Flow& told : flows) {
    if (!handler_) return;
    failed ? handler_->on_flow_failed(told, now) : handler_->on_flow_closed(told, now);
  }
}

void SipStream::Impl::arm_tick() {
  ticking_ = true;
  tick_.expires_after(tick_of(config_.times));
  tick_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    self->ticking_ = false;
    if (cancelled || !self->handler_) return;
    const Instant now = clock_now();
    for (auto& [id, entry] : self->connections_) entry.connection->check(now);
    if (!self->connections_.empty()) self->arm_tick();
  });
}

// --- input

void SipStream::Impl::on_item(SipConnection& connection, const sip::StreamFramer::Item& item) {
  if (!handler_) return;
  using Kind = sip::StreamFramer::Kind;
  switch (item.kind) {
    case Kind::ping:
      ++counters_.pings_in;
      break;
    case Kind::pong:
      ++counters_.pongs_in;
      connection.note_pong();
      break;
    case Kind::message:
      connection.note_message(clock_now());
      on_text(connection, item.bytes);
      break;
    case Kind::fault:
      // Where the next message begins is not known any more.
      on_fault(connection, item.bytes, item.fault);
      if (handler_) connection.close_after_writes();
      break;
    case Kind::line_end:
    case Kind::none:
      break;
  }
}

void SipStream::Impl::on_text(SipConnection& connection, std::string_view text) {
  auto message = sip::Message::parse(std::string(text));
  if (!message) return on_fault(connection, text, message.error());
  if (const auto fault = message->check()) return on_fault(connection, text, *fault);
  ++counters_.messages_in;
  const Flow flow = connection.flow();
  if (message->is_request()) mark_source(*message, flow.remote);
  handler_->on_message(std::move(*message), flow, clock_now());
}

void SipStream::Impl::on_fault(SipConnection& connection, std::string_view text,
                               const sip::Fault& fault) {
  ++counters_.faults[static_cast<std::size_t>(fault.code)];
  if (is_response(text))
    return handler_->on_broken_response(text, fault, connection.flow(), clock_now());
  const auto answer = fault_answer(text, fault, connection.flow().remote);
  if (!answer) return;
  if (!may_answer_fault(clock_now())) {
    ++counters_.fault_answers_suppressed;
    return;
  }
  ++counters_.fault_answers;
  connection.send(*answer);
}

bool SipStream::Impl::may_answer_fault(Instant now) {
  if (now - answers_since_ >= seconds(1)) {
    answers_since_ = now;
    answers_ = 0;
  }
  return ++answers_ <= limits::kFaultAnswersPerSecond;
}

// --- the rest

std::optional<std::string> SipStream::Impl::reload_certificates() {
  if (server_context_) {
    auto context = TlsContexts::server(config_.tls);
    if (!context) return context.error().text;
    server_context_ = std::move(*context);
  }
  contexts_.forget();
  return std::nullopt;
}

void SipStream::Impl::close() {
  if (!handler_) return;
  handler_ = nullptr;
  tick_.cancel();
  error_code ignored;
  for (const auto& listener : listeners_) {
    listener->acceptor.close(ignored);
    listener->pause.cancel();
  }
  for (auto& [id, entry] : connections_) entry.connection->detach();
  connections_.clear();
  by_address_.clear();
  per_source_.clear();
  open_ = {};
}

SipStream::SipStream(asio::io_context& io, SipStreamConfig config, SipHandler& handler)
    : impl_(std::make_shared<Impl>(io, std::move(config), handler)) {}
SipStream::~SipStream() {
  impl_->close();
}
Result<Endpoint, SipStreamError> SipStream::listen(Transport transport, const Endpoint& bind,
                                                   std::uint32_t local) {
  return impl_->listen(transport, bind, local);
}
SendOutcome SipStream::send(const Flow& flow, std::string_view bytes) {
  return impl_->send(flow, bytes);
}
void SipStream::set_tls_peer(const Endpoint& endpoint, TlsPeer peer) {
  auto& peers = impl_->tls_peers_;
  if (peers.size() >= limits::kTlsPeers && !peers.contains(endpoint)) return;
  peers[endpoint] = std::move(peer);
}
void SipStream::set_tls_identity(std::uint32_t identity, TlsPeer peer) {
  impl_->tls_identities_[identity] = std::move(peer);
}
std::optional<std::string> SipStream::check(const TlsPeer& peer) {
  TlsContexts contexts;
  const auto made = contexts.client(peer);
  if (made) return std::nullopt;
  return made.error().text;
}
std::optional<std::string> SipStream::reload_certificates() {
  return impl_->reload_certificates();
}
void SipStream::close() {
  impl_->close();
}
const SipStreamCounters& SipStream::counters() const {
  return impl_->counters_;
}
std::size_t SipStream::open_connections(Transport transport, bool accepted) const {
  return impl_->open_[transport == Transport::tls][accepted];
}

const char* to_text(ConnectionEnd why) {
  static constexpr const char* kTexts[] = {"none",         "connect_failed",    "connect_timeout",
                                           "tls_failed",   "handshake_timeout", "peer_closed",
                                           "io_error",     "input_timeout",     "idle",
                                           "pong_timeout", "queue_full",        "write_timeout",
                                           "fault"};
  static_assert(std::size(kTexts) == SipStreamCounters::kEnds);
  return kTexts[static_cast<std::size_t>(why)];
}

}  // namespace isthmus::transport
