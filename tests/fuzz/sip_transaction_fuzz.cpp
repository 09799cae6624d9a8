// Any sequence of messages on several flows, with a user that answers, ignores and cancels, and
// flows that fail. Time only moves forward, deadlines are never in the past once served, every
// client transaction ends exactly once, and after the user has answered everything nothing is left.
//
// Input: records of one control byte and text up to a zero byte. The control byte's low bits choose
// what happens.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>

#include "sip/transaction_layer.hpp"

using namespace isthmus;
using namespace isthmus::sip;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class User {
 public:
  explicit User(TransactionLayer& layer) : layer_(layer) {}

  void drain(TransactionEvents& out) {
    for (TransactionEvent& event : out) {
      if (auto* sent = std::get_if<SendMessage>(&event)) {
        auto message = Message::parse(sent->bytes);
        require(static_cast<bool>(message));
      } else if (auto* request = std::get_if<RequestReceived>(&event)) {
        require(open.emplace(request->server, std::move(request->request)).second);
      } else if (auto* cancel = std::get_if<CancelReceived>(&event)) {
        require(open.contains(cancel->server));
      } else if (auto* failed = std::get_if<ClientFailed>(&event)) {
        require(!ended.contains(failed->client) && ended.insert(failed->client).second);
      } else if (auto* got = std::get_if<ResponseReceived>(&event)) {
        require(got->client != 0 && got->client <= last_client);
        if (got->response.status() >= 300) require(ended.insert(got->client).second);
      }
    }
    out.clear();
  }

  void answer(TransactionId id, int status, Instant now) {
    auto found = open.find(id);
    if (found == open.end()) return;
    TransactionEvents out;
    layer_.respond(id, Message::response_to(found->second, status, {}, "fuzz"), now, out);
    if (status >= 200) answered.insert(id);
    drain(out);
  }

  std::map<TransactionId, Message> open;
  std::set<TransactionId> ended, answered;
  TransactionId last_client = 0;

 private:
  TransactionLayer& layer_;
};

Message own_request(bool invite) {
  std::string_view method = invite ? "INVITE" : "OPTIONS";
  Message request = Message::request(method, "sip:b@example.org");
  request.add(HeaderId::from, "<sip:a@example.org>;tag=a");
  request.add(HeaderId::to, "<sip:b@example.org>");
  request.add(HeaderId::call_id, "fuzz");
  request.add(HeaderId::cseq, "1 " + std::string(method));
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SeededRandom random(1);
  TransactionLayer layer({}, random);
  User user(layer);
  TransactionEvents out;
  Instant now = Instant{} + seconds(1);
  const Flow flows[] = {Flow::udp({IpAddress::v4(1), 5060}), Flow::link(1), Flow::link(2)};
  Reader reader({data, size});
  std::string last_request;
  while (reader.remaining() > 0) {
    std::uint8_t control = reader.u8();
    std::string text;
    while (reader.remaining() > 0) {
      char c = static_cast<char>(reader.u8());
      if (c == 0) break;
      text += c;
    }
    const Flow& flow = flows[(control >> 3) % 3];
    switch (control & 7) {
      case 0:
      case 1: {
        auto message = Message::parse(text);
        if (message) layer.on_message(std::move(*message), flow, now, out);
        break;
      }
      case 2: {
        user.last_client = layer.send_request(own_request(control & 64), flow, "h", now, out);
        require(user.last_client != 0);
        if (auto* sent = std::get_if<SendMessage>(&out.back())) last_request = sent->bytes;
        break;
      }
      case 3:  // a response to our last request, its status from the text
        if (auto request = Message::parse(last_request)) {
          int status = 100 + static_cast<int>(text.size() * 37 % 600);
          layer.on_message(Message::response_to(*request, status, {}, "t"), flow, now, out);
        }
        break;
      case 4:
        layer.cancel(user.last_client, {}, now, out);
        break;
      case 5:
        layer.on_flow_failed(flow, now, out);
        break;
      case 6:
        if (!user.open.empty()) {
          user.answer(user.open.rbegin()->first,
                      control & 64    ? 200
                      : control & 128 ? 486
                                      : 180,
                      now);
        }
        break;
      case 7:
        now += milliseconds(control * 50);
        layer.on_timeout(now, out);
        require(!layer.next_deadline() || *layer.next_deadline() > now);
        break;
    }
    user.drain(out);
  }
  for (auto& [id, request] : user.open) {
    if (!user.answered.contains(id)) user.answer(id, 500, now);
  }
  while (auto next = layer.next_deadline()) {
    require(*next >= now);
    now = *next;
    layer.on_timeout(now, out);
    user.drain(out);
  }
  require(layer.open_client_transactions() == 0 && layer.open_server_transactions() == 0);
  return 0;
}
