#pragma once
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sip/transaction_layer.hpp"

namespace isthmus::sip::testing_bench {

inline std::string first_words(const Message& message) {
  std::string method(message.method_text());
  return message.is_request() ? method : std::to_string(message.status()) + ' ' + method;
}

/// "send INVITE", "response 180 INVITE", "client 1 failed: timeout": one event in words.
inline std::string describe(const TransactionEvent& event) {
  auto why = [](ClientFailure failure) {
    return failure == ClientFailure::timeout ? std::string("timeout") : std::string("transport");
  };
  if (auto* e = std::get_if<SendMessage>(&event)) {
    auto message = Message::parse(e->bytes);
    return message ? "send " + first_words(*message) : "send junk";
  }
  if (auto* e = std::get_if<RequestReceived>(&event)) return "request " + first_words(e->request);
  if (std::get_if<AckReceived>(&event)) return "ack";
  if (std::get_if<CancelReceived>(&event)) return "cancel";
  if (auto* e = std::get_if<ResponseReceived>(&event)) {
    return "response " + first_words(e->response);
  }
  if (auto* e = std::get_if<StrayResponse>(&event)) return "stray " + first_words(e->response);
  if (auto* e = std::get_if<ClientFailed>(&event)) return "client failed: " + why(e->why);
  return "server failed: " + why(std::get<ServerFailed>(event).why);
}

/// One layer on virtual time; everything it does is written down as "<ms> <event>".
class Bench {
 public:
  explicit Bench(TransactionTimers timers = {}) : layer(timers, random) {}

  SeededRandom random{7};
  TransactionLayer layer;
  Instant start = Instant{} + std::chrono::hours(1);
  Instant now = start;
  std::vector<std::string> trace;
  std::vector<TransactionEvent> events;  ///< all, in order
  const Flow udp = Flow::udp(*Endpoint::parse("192.0.2.9:5060"));
  const Flow link = Flow::link(17);

  TransactionId send(Message request, const Flow& flow) {
    TransactionEvents out;
    TransactionId id =
        layer.send_request(std::move(request), flow, "gw.example.net:5060", now, out);
    record(std::move(out));
    return id;
  }
  void receive(std::string_view bytes, const Flow& flow) {
    auto message = Message::parse(std::string(bytes));
    ASSERT_TRUE(message) << bytes;
    TransactionEvents out;
    layer.on_message(std::move(*message), flow, now, out);
    record(std::move(out));
  }
  void receive(const Message& message, const Flow& flow) { receive(message.serialize(), flow); }
  void respond(TransactionId server, const Message& response) {
    TransactionEvents out;
    layer.respond(server, response, now, out);
    record(std::move(out));
  }
  void cancel(TransactionId client, std::vector<std::pair<std::string, std::string>> extra = {}) {
    TransactionEvents out;
    layer.cancel(client, std::move(extra), now, out);
    record(std::move(out));
  }
  void fail(const Flow& flow) {
    TransactionEvents out;
    layer.on_flow_failed(flow, now, out);
    record(std::move(out));
  }
  /// Lets time pass to `ms` after the start, waking exactly at each deadline.
  void until(long ms) {
    Instant end = start + milliseconds(ms);
    for (auto next = layer.next_deadline(); next && *next <= end; next = layer.next_deadline()) {
      ASSERT_GE(*next, now) << "a deadline in the past";
      now = *next;
      TransactionEvents out;
      layer.on_timeout(now, out);
      record(std::move(out));
      auto after = layer.next_deadline();
      ASSERT_TRUE(!after || *after > now) << "on_timeout left something due";
    }
    now = end;
  }
  std::vector<std::string> take_trace() { return std::exchange(trace, {}); }

  /// The last message sent.
  Message last_sent() const {
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      if (auto* sent = std::get_if<SendMessage>(&*event)) return *Message::parse(sent->bytes);
    }
    return Message::response(599, "nothing was sent");
  }
  template <typename Event>
  const Event* last() const {
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      if (auto* found = std::get_if<Event>(&*event)) return found;
    }
    return nullptr;
  }
  std::size_t open() const {
    return layer.open_client_transactions() + layer.open_server_transactions();
  }

 protected:
  void record(TransactionEvents out) {
    auto ms = std::chrono::duration_cast<milliseconds>(now - start).count();
    for (auto& event : out) {
      trace.push_back(std::to_string(ms) + ' ' + describe(event));
      events.push_back(std::move(event));
    }
  }
};

/// A request of ours, without Via.
inline Message our_request(std::string_view method, int number = 1) {
  Message request = Message::request(method, "sip:bob@example.org");
  request.add(HeaderId::max_forwards, "70");
  request.add(HeaderId::from, "<sip:alice@example.org>;tag=alice");
  request.add(HeaderId::to, "<sip:bob@example.org>");
  request.add(HeaderId::call_id, "call-" + std::to_string(number));
  request.add(HeaderId::cseq, std::to_string(number) + ' ' + std::string(method));
  return request;
}

/// A request of theirs, as it arrives.
inline Message their_request(std::string_view method, std::string_view branch = "z9hG4bKone",
                             std::string_view sent_by = "192.0.2.9:5060") {
  Message request = our_request(method);
  request.prepend(HeaderId::via, "SIP/2.0/UDP " + std::string(sent_by) +
                                     (branch.empty() ? "" : ";branch=" + std::string(branch)));
  return request;
}

}  // namespace isthmus::sip::testing_bench
