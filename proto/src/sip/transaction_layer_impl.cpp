// TransactionLayer: messages that came, what the machines ask for, and the tables.
#include "sip/transaction_layer_impl.hpp"
#include "base/text.hpp"
#include "sip/broken_response.hpp"

namespace isthmus::sip {
namespace {

template <typename Machine>
bool ended(const Machine& machine) {
  return std::visit([](const auto& m) { return m.state() == decltype(m.state())::terminated; },
                    machine);
}
/// What only waits to be forgotten waits up to this much longer, to be forgotten together: else
/// each end would wake the program by itself, as many times a second as transactions begin.
constexpr Duration kLingerStep = milliseconds(100);

Instant end_of_step(Instant at) {
  const Duration into = at.time_since_epoch() % kLingerStep;
  return into == Duration::zero() ? at : at + (kLingerStep - into);
}

template <typename Machine>
Instant deadline_of(const Machine& machine) {
  return std::visit(
      [](const auto& m) {
        const Instant at = m.deadline();
        return m.lingers() && at != kNever ? end_of_step(at) : at;
      },
      machine);
}

InviteClientTransaction::Input invite_input(int status) {
  using Input = InviteClientTransaction::Input;
  if (status == 100) return Input::trying;
  if (status < 200) return Input::provisional;
  return status < 300 ? Input::success : Input::failure;
}

}  // namespace

// A link's responses match within their session only; other flows are free to answer from another
// address.
std::string TransactionLayer::Impl::client_key(std::string_view branch, std::string_view method,
                                               const Flow& flow) {
  std::string key;
  key.reserve(branch.size() + method.size() + 24);
  key += to_lower(branch);
  key += ' ';
  key += method;
  if (flow.is_link()) key += ' ' + std::to_string(flow.session);
  return key;
}

TransactionTimers TransactionLayer::Impl::sane(TransactionTimers timers) {
  // An interval of zero would fire for ever within one on_timeout().
  timers.t1 = std::max<Duration>(timers.t1, milliseconds(1));
  timers.t2 = std::max<Duration>(timers.t2, timers.t1);
  return timers;
}

// --- requests

void TransactionLayer::Impl::on_request(Message request, const Flow& flow, Instant now,
                                        TransactionEvents& out) {
  if (request.method() == Method::ack) return on_ack(std::move(request), flow, now, out);
  ServerKey key = server_key(request, flow, request.method_text());
  if (key.text.empty()) return;  // not checked by the caller: no response could find its way either
  if (Server* known = find_server(key)) {
    auto actions = std::visit(
        [now](auto& machine) {
          using Input = typename std::decay_t<decltype(machine)>::Input;
          if constexpr (std::is_same_v<std::decay_t<decltype(machine)>, InviteServerTransaction>) {
            return machine.on(Input::invite, now);
          } else {
            return machine.on(Input::request, now);
          }
        },
        known->machine);
    perform(*known, actions, nullptr, flow, out);
    return settle(*known);
  }
  if (request.method() == Method::cancel) {
    return on_cancel(std::move(request), flow, key.text, out);
  }
  ++counters.requests_in;
  if (full()) {
    ++counters.refused_over_limit;
    return reply_stateless(request, 503, derived_tag(key.text), flow, out);
  }
  open_server(std::move(request), flow, std::move(key.text), now, out);
}

void TransactionLayer::Impl::open_server(Message request, const Flow& flow, std::string key,
                                         Instant now, TransactionEvents& out) {
  TransactionId id = ++last_id;
  bool reliable = flow.reliable();
  if (request.method() == Method::invite) {
    Server fresh(InviteServerTransaction(timers, reliable, now), id, flow);
    fresh.bytes = Message::response_to(request, 100).serialize();
    add_server(std::move(fresh), std::move(key));
  } else {
    add_server(Server(NonInviteServerTransaction(timers, reliable, now), id, flow), std::move(key));
  }
  out.push_back(RequestReceived{id, flow, std::move(request)});
}

void TransactionLayer::Impl::on_ack(Message ack, const Flow& flow, Instant now,
                                    TransactionEvents& out) {
  ServerKey key = server_key(ack, flow, to_text(Method::invite));
  if (key.text.empty()) return;
  Server* server = find_server(key);
  // RFC 3261 §17.2.3: an ACK of RFC 2543 must bear the To tag of the response.
  if (server && key.rfc2543 && ack.to_tag() != server->to_tag) server = nullptr;
  if (!server || !server->invite()) {
    ++counters.requests_in;
    out.push_back(AckReceived{flow, std::move(ack)});
    return;
  }
  ServerActions actions = server->invite()->on(InviteServerTransaction::Input::ack, now);
  if (!actions.absorbed) ++counters.requests_in;
  perform(*server, actions, &ack, flow, out);
  settle(*server);
}

// CANCELs are answered without a transaction of their own (RFC 3261 §8.2.7): the answer to a repeat
// is the same, and a flood of CANCELs leaves nothing behind.
void TransactionLayer::Impl::on_cancel(Message cancel, const Flow& flow, const std::string& key,
                                       TransactionEvents& out) {
  Server* server = find_server(server_key(cancel, flow, to_text(Method::invite)));
  if (!server || !server->invite()) {
    ++counters.requests_in;
    return reply_stateless(cancel, 481, derived_tag(key), flow, out);
  }
  // §9.2: the To tag of the INVITE's own responses, once there is one.
  reply_stateless(cancel, 200, server->to_tag.empty() ? derived_tag(key) : server->to_tag, flow,
                  out);
  ++(server->cancelled ? counters.retransmissions_in : counters.requests_in);
  bool open = server->invite()->state() == InviteServerTransaction::State::proceeding;
  if (open && !server->cancelled) out.push_back(CancelReceived{server->id, std::move(cancel)});
  server->cancelled = true;
}

auto TransactionLayer::Impl::find_server(const ServerKey& key) -> Server* {
  auto found = servers_by_key.find(key.text);
  return found == servers_by_key.end() ? nullptr : found->second;
}

void TransactionLayer::Impl::reply_stateless(const Message& request, int status,
                                             std::string_view to_tag, const Flow& flow,
                                             TransactionEvents& out) {
  ++counters.responses_out;
  out.push_back(SendMessage{flow, Message::response_to(request, status, {}, to_tag).serialize()});
}

std::string TransactionLayer::Impl::derived_tag(const std::string& key) const {
  std::uint64_t value = hash(key);
  Bytes raw(8);
  for (std::uint8_t& byte : raw) {
    byte = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
  return to_hex(raw);
}

// --- responses

void TransactionLayer::Impl::on_response(Message response, const Flow& flow, Instant now,
                                         TransactionEvents& out) {
  const auto via = top_via_in(response);
  const auto cseq = scan::cseq(response.get(HeaderId::cseq).value_or(""));
  Client* client = nullptr;
  if (via && cseq) {
    const std::string_view branch = scan::find_param(via->params, "branch").value_or("");
    auto found = clients_by_key.find(client_key(branch, cseq->method, flow));
    if (found != clients_by_key.end()) client = found->second;
  }
  if (!client) {
    ++counters.responses_in;
    ++counters.stray_responses;
    out.push_back(StrayResponse{flow, std::move(response)});
    return;
  }
  client->fallback.reset();
  ClientActions actions;
  if (auto* invite = client->invite()) {
    actions = invite->on(invite_input(response.status()), now);
  } else {
    using Input = NonInviteClientTransaction::Input;
    actions = std::get<NonInviteClientTransaction>(client->machine)
                  .on(response.status() < 200 ? Input::provisional : Input::final, now);
  }
  ++(actions.absorbed ? counters.retransmissions_in : counters.responses_in);
  perform(*client, actions, &response, flow, now, out);
  settle(*client);
}

void TransactionLayer::Impl::on_broken_response(std::string_view text, const Fault& fault,
                                                const Flow& flow, Instant now,
                                                TransactionEvents& out) {
  std::optional<Message> response = salvage_response(text);
  if (!response) return;
  auto via = response->top_via();
  if (!via) return;
  // A CSeq that cannot be read leaves the branch, which is ours and unlike any other.
  auto cseq = response->cseq();
  const std::string method(cseq ? cseq->method_text : to_text(Method::invite));
  auto found = clients_by_key.find(client_key(via->branch(), method, flow));
  if (found == clients_by_key.end()) return;
  auto request = Message::parse(found->second->bytes);
  if (!mend_response(*response, request ? &*request : nullptr)) return;
  if (response->status() < 200) response->set_status(100, {});
  const std::size_t before = out.size();
  on_response(std::move(*response), flow, now, out);
  for (std::size_t i = before; i < out.size(); ++i) {
    if (auto* received = std::get_if<ResponseReceived>(&out[i])) received->fault = fault;
  }
}

void TransactionLayer::Impl::perform(Client& client, ClientActions actions, Message* response,
                                     const Flow& from, Instant now, TransactionEvents& out) {
  if (actions.send_request) {
    ++counters.retransmissions_out;
    out.push_back(SendMessage{client.flow, client.bytes});
  }
  if (actions.send_ack) send_ack(client, actions.absorbed ? nullptr : response, out);
  if (actions.pass_up && response && !client.own) {
    out.push_back(ResponseReceived{client.id, from, std::move(*response)});
  }
  if (actions.send_cancel) send_cancel(client, now, out);
  if (client.own) return;
  if (actions.report_timeout) {
    ++counters.timeouts;
    out.push_back(ClientFailed{client.id, ClientFailure::timeout});
  }
  if (actions.report_transport) {
    out.push_back(ClientFailed{client.id, ClientFailure::transport});
  }
}

// @param response the first failure, of which the ACK is made; none: the same ACK again
void TransactionLayer::Impl::send_ack(Client& client, const Message* response,
                                      TransactionEvents& out) {
  if (response) {
    // The request is kept as bytes, a third of what a parsed message takes, and read again here.
    auto invite = Message::parse(std::move(client.bytes));
    client.bytes.clear();
    if (!invite) return;  // larger than any peer accepts, and nobody has answered such a request
    client.bytes = make_ack(*invite, *response).serialize();
    ++counters.requests_out;
  } else {
    ++counters.retransmissions_out;
  }
  out.push_back(SendMessage{client.flow, client.bytes});
}

void TransactionLayer::Impl::send_cancel(Client& client, Instant now, TransactionEvents& out) {
  auto invite = Message::parse(client.bytes);
  if (!invite) return;
  Message cancel = make_cancel(*invite, client.cancel_headers);
  client.cancel_headers = {};
  auto via = cancel.top_via();
  if (!via) return;
  // Not held to the limit: there is one for each INVITE at most, and it is what ends them.
  Client fresh(NonInviteClientTransaction(timers, client.flow.reliable(), now), ++last_id,
               client.flow);
  fresh.own = true;
  std::string bytes = cancel.serialize();
  if (!client.flow.reliable()) fresh.bytes = bytes;
  ++counters.requests_out;
  out.push_back(SendMessage{client.flow, std::move(bytes)});
  add_client(std::move(fresh), client_key(via->branch(), to_text(Method::cancel), client.flow));
}

void TransactionLayer::Impl::perform(Server& server, ServerActions actions, Message* message,
                                     const Flow& from, TransactionEvents& out) {
  if (actions.absorbed) ++counters.retransmissions_in;
  if (actions.send && message) {
    if (server.to_tag.empty()) server.to_tag = message->to_tag();
    ++counters.responses_out;
    server.bytes = message->serialize();
    out.push_back(SendMessage{server.flow, server.bytes});
    auto* invite = server.invite();
    bool accepted = invite && invite->state() == InviteServerTransaction::State::accepted;
    // Nobody asks again on a reliable flow, and 2xx are the user's to repeat.
    if (accepted || server.flow.reliable()) server.bytes = {};
  }
  if (actions.send_trying) {
    ++counters.responses_out;
    out.push_back(SendMessage{server.flow, server.bytes});
  }
  if (actions.send_again && !server.bytes.empty()) {
    ++counters.retransmissions_out;
    out.push_back(SendMessage{server.flow, server.bytes});
  }
  if (actions.pass_ack && message) out.push_back(AckReceived{from, std::move(*message)});
  if (actions.refused) ++counters.dropped_responses;
  if (actions.report_timeout) {
    ++counters.timeouts;
    out.push_back(ServerFailed{server.id, ClientFailure::timeout});
  }
  if (actions.report_transport) {
    out.push_back(ServerFailed{server.id, ClientFailure::transport});
  }
}

void TransactionLayer::Impl::fire(Entry& entry, Instant now, TransactionEvents& out) {
  if (entry.server) {
    auto& server = static_cast<Server&>(entry);
    auto actions = std::visit([now](auto& m) { return m.on_timeout(now); }, server.machine);
    perform(server, actions, nullptr, server.flow, out);
    settle(server);
  } else {
    auto& client = static_cast<Client&>(entry);
    auto actions = std::visit([now](auto& m) { return m.on_timeout(now); }, client.machine);
    perform(client, actions, nullptr, client.flow, now, out);
    settle(client);
  }
}

void TransactionLayer::Impl::fail(Entry& entry, Instant now, TransactionEvents& out) {
  auto transport_error = [now](auto& machine) {
    return machine.on(std::decay_t<decltype(machine)>::Input::transport_error, now);
  };
  if (entry.server) {
    auto& server = static_cast<Server&>(entry);
    perform(server, std::visit(transport_error, server.machine), nullptr, server.flow, out);
    settle(server);
  } else {
    auto& client = static_cast<Client&>(entry);
    if (client.fallback && fall_back(client, now, out)) return;
    perform(client, std::visit(transport_error, client.machine), nullptr, client.flow, now, out);
    settle(client);
  }
}

/// The same transaction over another flow, with a branch of its own.
/// @return false: it has been cancelled, and is let fail
bool TransactionLayer::Impl::fall_back(Client& client, Instant now, TransactionEvents& out) {
  using Invite = InviteClientTransaction;
  const bool invite = client.invite() != nullptr;
  if (invite && client.invite()->cancel_wanted()) return false;
  auto request = Message::parse(client.bytes);
  if (!request) return false;
  const std::unique_ptr<FallbackFlow> other = std::move(client.fallback);
  untrack(client);
  clients_by_key.erase(*client.key);
  client.flow = other->flow;
  request->remove_first_value(HeaderId::via);
  const std::string branch = put_via(*request, client.flow, other->sent_by);
  const bool reliable = client.flow.reliable();
  if (invite) {
    client.machine = Invite(timers, reliable, now);
  } else {
    client.machine = NonInviteClientTransaction(timers, reliable, now);
  }
  client.bytes = request->serialize();
  ++counters.requests_out;
  out.push_back(SendMessage{client.flow, client.bytes});
  std::string key = client_key(branch, request->method_text(), client.flow);
  client.key = &clients_by_key.insert_or_assign(std::move(key), &client).first->first;
  track(client, deadline_of(client.machine));
  return true;
}

void TransactionLayer::Impl::fail_all(const Flow& flow, bool servers_too, Instant now,
                                      TransactionEvents& out) {
  auto found = by_flow.find(flow);
  if (found == by_flow.end()) return;
  std::vector<Entry*> entries = found->second;  // a copy: entries leave the list as they end
  std::sort(entries.begin(), entries.end(),
            [](const Entry* a, const Entry* b) { return a->id < b->id; });
  for (Entry* entry : entries) {
    if (servers_too || !entry->server) fail(*entry, now, out);
  }
}

// --- bookkeeping

auto TransactionLayer::Impl::add_client(Client fresh, std::string key) -> Client& {
  Client& client = clients.emplace(fresh.id, std::move(fresh)).first->second;
  client.key = &clients_by_key.insert_or_assign(std::move(key), &client).first->first;
  track(client, deadline_of(client.machine));
  return client;
}

auto TransactionLayer::Impl::add_server(Server fresh, std::string key) -> Server& {
  Server& server = servers.emplace(fresh.id, std::move(fresh)).first->second;
  server.key = &servers_by_key.insert_or_assign(std::move(key), &server).first->first;
  track(server, deadline_of(server.machine));
  return server;
}

void TransactionLayer::Impl::track(Entry& entry, Instant deadline) {
  auto& list = by_flow[entry.flow];
  entry.flow_slot = list.size();
  list.push_back(&entry);
  arm(entry, deadline);
}

void TransactionLayer::Impl::untrack(Entry& entry) {
  arm(entry, kNever);
  auto found = by_flow.find(entry.flow);
  auto& list = found->second;
  list[entry.flow_slot] = list.back();
  list[entry.flow_slot]->flow_slot = entry.flow_slot;
  list.pop_back();
  if (list.empty()) by_flow.erase(found);
}

void TransactionLayer::Impl::arm(Entry& entry, Instant deadline) {
  if (entry.armed == deadline) return;
  // Most wait longer than all before them, so the end is where to look first.
  if (entry.armed == kNever) {
    entry.timer = deadlines.insert(deadlines.end(), {deadline, entry.id, &entry});
  } else {
    auto node = deadlines.extract(entry.timer);
    if (deadline != kNever) {
      node.value().at = deadline;
      entry.timer = deadlines.insert(deadlines.end(), std::move(node));
    }
  }
  entry.armed = deadline;
}

void TransactionLayer::Impl::settle(Client& client) {
  auto* invite = client.invite();
  if (invite && invite->state() == InviteClientTransaction::State::accepted) client.bytes = {};
  if (!ended(client.machine)) return arm(client, deadline_of(client.machine));
  untrack(client);
  clients_by_key.erase(*client.key);
  clients.erase(client.id);
}

void TransactionLayer::Impl::settle(Server& server) {
  if (!ended(server.machine)) return arm(server, deadline_of(server.machine));
  untrack(server);
  servers_by_key.erase(*server.key);
  servers.erase(server.id);
}

std::string TransactionLayer::Impl::put_via(Message& message, const Flow& flow,
                                            std::string_view sent_by) {
  std::string branch = std::string(kBranchCookie) + random.token(20);
  // On a link the Via says TLS: that is what a link is to SIP (its sent-by ends in .invalid, as in
  // RFC 7118 §5).
  std::string via;
  via.reserve(128);
  via += "SIP/2.0/";
  via += to_text(flow.is_link() ? Transport::tls : flow.transport);
  via += ' ';
  via += sent_by;
  via += ";branch=";
  via += branch;
  if (!flow.reliable()) via += ";rport";  // RFC 3581 §3
  message.prepend(HeaderId::via, via);
  return branch;
}

}  // namespace isthmus::sip
