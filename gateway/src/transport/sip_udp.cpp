#include "transport/sip_udp.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "base/limits.hpp"
#include "transport/fault_answer.hpp"
#include "transport/stun_answer.hpp"
#include "transport/via_source.hpp"

namespace isthmus::transport {
namespace {

constexpr std::size_t kBatchDatagrams = 16;
constexpr int kBatchesPerTurn = 4;  // then timers and other sockets have their turn
constexpr int kErrorsPerTurn = 64;

/// RFC 5626 §4.4.1 pings are CRLFs; some devices send NULs to keep a NAT open.
bool is_keep_alive(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

}  // namespace

Result<std::unique_ptr<SipUdp>, SocketError> SipUdp::open(boost::asio::io_context& io,
                                                          const SipUdpConfig& config,
                                                          SipHandler& handler) {
  UdpOptions options;
  options.local = config.bind;
  options.receive_buffer_bytes = config.receive_buffer_bytes;
  options.traffic_class = config.mark_traffic ? kClassSelector3 : std::uint8_t{0};
  options.error_queue = true;
  options.fragment = true;
  auto socket = UdpSocket::open(io, options);
  if (!socket) return socket.error();
  std::unique_ptr<SipUdp> result(new SipUdp(io, config, handler, std::move(*socket)));
  result->socket_.start(*result);
  return result;
}

SipUdp::SipUdp(boost::asio::io_context& io, const SipUdpConfig& config, SipHandler& handler,
               UdpSocket socket)
    : io_(io),
      config_(config),
      handler_(handler),
      socket_(std::move(socket)),
      local_(socket_.local()),
      batch_(kBatchDatagrams, limits::kSipMessageBytes),
      self_(std::make_shared<SipUdp*>(this)) {}

SipUdp::~SipUdp() {
  close();
}

void SipUdp::close() {
  *self_ = nullptr;
  socket_.close();
}

/// Errors are looked for when a call failed: readiness itself is nearly always a datagram's.
void SipUdp::on_readable() {
  if (socket_.saw_error()) drain_errors();
  for (int round = 0; round < kBatchesPerTurn && socket_.is_open(); ++round) {
    const int count = socket_.receive(batch_);
    if (count == -EAGAIN) return drain_errors();
    if (count < 0) {
      ++counters_.receive_errors;
      drain_errors();
      continue;
    }
    const Instant now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < static_cast<std::size_t>(count) && socket_.is_open(); ++i) {
      const auto datagram = batch_.datagram(i);
      ++counters_.datagrams_in;
      if (!handler_.allowed(datagram.source)) {
        ++counters_.source_refused;
        handler_.on_refused(as_text(datagram.bytes), datagram.source);
      } else if (datagram.truncated) {
        ++counters_.truncated;
      } else {
        on_datagram(as_text(datagram.bytes), datagram.source, now);
      }
    }
    if (static_cast<std::size_t>(count) < batch_.size()) return;
  }
}

void SipUdp::drain_errors() {
  for (int i = 0; i < kErrorsPerTurn; ++i) {
    const auto error = socket_.next_error();
    if (!error) return;
    if (!error->hard) continue;
    ++counters_.delivery_errors;
    handler_.on_flow_failed(sip::Flow::udp(error->destination, config_.local),
                            std::chrono::steady_clock::now());
  }
}

void SipUdp::on_datagram(std::string_view text, const Endpoint& source, Instant now) {
  if (const auto answer = stun_answer(as_bytes(text), source)) {
    ++counters_.keep_alives;
    socket_.send(source, *answer);
    return;
  }
  if (is_keep_alive(text)) {
    ++counters_.keep_alives;
    if (text == "\r\n\r\n") socket_.send(source, as_bytes("\r\n"));
    return;
  }
  auto message = sip::Message::parse(std::string(text));
  if (!message) return on_fault(text, message.error(), source, now);
  if (const auto fault = message->check()) return on_fault(text, *fault, source, now);
  ++counters_.messages_in;
  const Endpoint reply_to = message->is_request() ? reply_address(*message, source) : source;
  handler_.on_message(std::move(*message), sip::Flow::udp(reply_to, config_.local), now);
}

/// @return where responses go (RFC 3261 §18.2.2, RFC 3581 §4).
Endpoint SipUdp::reply_address(sip::Message& request, const Endpoint& source) const {
  if (mark_source(request, source) || config_.force_rport) return source;
  const auto via = request.top_via();
  return via ? Endpoint{source.address, via->sent_by_port()} : source;
}

void SipUdp::on_fault(std::string_view text, const sip::Fault& fault, const Endpoint& source,
                      Instant now) {
  ++counters_.faults[static_cast<std::size_t>(fault.code)];
  if (is_response(text))
    return handler_.on_broken_response(text, fault, sip::Flow::udp(source, config_.local), now);
  const auto answer = fault_answer(text, fault, source);
  if (!answer) return;
  if (!may_answer_fault(now)) {
    ++counters_.fault_answers_suppressed;
    return;
  }
  ++counters_.fault_answers;
  send(sip::Flow::udp(source, config_.local), *answer);
}

bool SipUdp::may_answer_fault(Instant now) {
  if (now - answers_since_ >= seconds(1)) {
    answers_since_ = now;
    answers_ = 0;
  }
  return ++answers_ <= limits::kFaultAnswersPerSecond;
}

SendOutcome SipUdp::send(const sip::Flow& flow, std::string_view bytes) {
  if (bytes.size() > limits::kSipDatagramBytes) {
    ++counters_.send_too_large;
    return SendOutcome::too_large;
  }
  const int error = socket_.send(flow.remote, as_bytes(bytes));
  if (error == 0) {
    ++counters_.datagrams_out;
    return SendOutcome::sent;
  }
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) {
    ++counters_.send_blocked;
    return SendOutcome::blocked;
  }
  ++counters_.send_failed;
  boost::asio::post(io_, [self = self_, flow] {
    if (*self) (*self)->handler_.on_flow_failed(flow, std::chrono::steady_clock::now());
  });
  return SendOutcome::unreachable;
}

}  // namespace isthmus::transport
