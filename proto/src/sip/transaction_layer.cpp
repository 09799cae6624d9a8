#include "sip/transaction_layer_impl.hpp"

namespace isthmus::sip {

TransactionLayer::TransactionLayer(TransactionTimers timers, Random& random)
    : impl_(std::make_unique<Impl>(timers, random)) {}

TransactionLayer::~TransactionLayer() = default;

void TransactionLayer::on_message(Message message, const Flow& flow, Instant now,
                                  TransactionEvents& out) {
  if (message.is_request()) {
    impl_->on_request(std::move(message), flow, now, out);
  } else {
    impl_->on_response(std::move(message), flow, now, out);
  }
}

void TransactionLayer::on_broken_response(std::string_view text, const Fault& fault,
                                          const Flow& flow, Instant now, TransactionEvents& out) {
  impl_->on_broken_response(text, fault, flow, now, out);
}

TransactionId TransactionLayer::send_request(Message request, const Flow& flow,
                                             std::string_view sent_by, Instant now,
                                             TransactionEvents& out,
                                             std::optional<FallbackFlow> fallback) {
  Impl& impl = *impl_;
  if (impl.full()) {
    ++impl.counters.refused_over_limit;
    return 0;
  }
  TransactionId id = ++impl.last_id;
  std::string branch = impl.put_via(request, flow, sent_by);
  bool invite = request.method() == Method::invite;
  Impl::Client fresh =
      invite
          ? Impl::Client(InviteClientTransaction(impl.timers, flow.reliable(), now), id, flow)
          : Impl::Client(NonInviteClientTransaction(impl.timers, flow.reliable(), now), id, flow);
  std::string bytes = request.serialize();
  if (invite || !flow.reliable() || fallback) fresh.bytes = bytes;
  if (fallback) fresh.fallback = std::make_unique<FallbackFlow>(std::move(*fallback));
  impl.add_client(std::move(fresh), Impl::client_key(branch, request.method_text(), flow));
  ++impl.counters.requests_out;
  out.push_back(SendMessage{flow, std::move(bytes)});
  return id;
}

void TransactionLayer::respond(TransactionId id, Message response, Instant now,
                               TransactionEvents& out) {
  auto found = impl_->servers.find(id);
  if (found == impl_->servers.end()) {
    ++impl_->counters.dropped_responses;
    return;
  }
  Impl::Server& server = found->second;
  int status = response.status();
  ServerActions actions;
  if (auto* invite = server.invite()) {
    using Input = InviteServerTransaction::Input;
    actions = invite->on(status < 200   ? Input::provisional
                         : status < 300 ? Input::success
                                        : Input::failure,
                         now);
  } else {
    using Input = NonInviteServerTransaction::Input;
    actions = std::get<NonInviteServerTransaction>(server.machine)
                  .on(status < 200 ? Input::provisional : Input::final, now);
  }
  impl_->perform(server, actions, &response, server.flow, out);
  impl_->settle(server);
}

void TransactionLayer::cancel(TransactionId id,
                              std::vector<std::pair<std::string, std::string>> extra, Instant now,
                              TransactionEvents& out) {
  auto found = impl_->clients.find(id);
  if (found == impl_->clients.end() || !found->second.invite()) return;
  Impl::Client& client = found->second;
  if (client.cancel_headers.empty()) client.cancel_headers = std::move(extra);
  ClientActions actions = client.invite()->on(InviteClientTransaction::Input::cancel, now);
  impl_->perform(client, actions, nullptr, client.flow, now, out);
  impl_->settle(client);
}

void TransactionLayer::on_flow_failed(const Flow& flow, Instant now, TransactionEvents& out) {
  impl_->fail_all(flow, true, now, out);
}

void TransactionLayer::on_flow_closed(const Flow& flow, Instant now, TransactionEvents& out) {
  impl_->fail_all(flow, false, now, out);
}

void TransactionLayer::on_timeout(Instant now, TransactionEvents& out) {
  auto& deadlines = impl_->deadlines;
  while (!deadlines.empty() && deadlines.begin()->at <= now) {
    impl_->fire(*deadlines.begin()->entry, now, out);
  }
}

std::optional<Instant> TransactionLayer::next_deadline() const {
  if (impl_->deadlines.empty()) return std::nullopt;
  return impl_->deadlines.begin()->at;
}

void TransactionLayer::add_via(Message& message, const Flow& flow, std::string_view sent_by) {
  impl_->put_via(message, flow, sent_by);
}

const TransactionLayer::Counters& TransactionLayer::counters() const {
  return impl_->counters;
}
const Flow* TransactionLayer::flow_of(TransactionId server) const {
  auto found = impl_->servers.find(server);
  return found == impl_->servers.end() ? nullptr : &found->second.flow;
}
std::size_t TransactionLayer::open_client_transactions() const {
  return impl_->clients.size();
}
std::size_t TransactionLayer::open_server_transactions() const {
  return impl_->servers.size();
}

}  // namespace isthmus::sip
