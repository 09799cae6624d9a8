#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "call/bridge.hpp"
#include "support/fake_media_plane.hpp"

namespace isthmus::call {

/// What the router was told of one place.
struct Outcome {
  sip::Flow flow;
  HopOutcome outcome;
  unsigned retry_after_s;
};

/// And of a request that went on to the next one.
struct Move {
  sip::Flow from, to;
  HopOutcome why;
};

/// Sends by the user part, unless the test decides: "carol" to a provider, "pair" to two devices at
/// once, "echo" to the service, "dave" to a second link, anything else back where it came from.
class BenchRouter final : public Router {
 public:
  const sip::Flow provider = sip::Flow::udp(*Endpoint::parse("198.51.100.1:5060"));
  const sip::Flow other = sip::Flow::udp(*Endpoint::parse("198.51.100.2:5060"));

  std::function<std::optional<Route>(const sip::Message&)> decide;  ///< asked before all else
  std::map<sip::Flow, LegPolicy> policies;
  std::vector<Outcome> outcomes;
  std::map<std::string, std::vector<sip::Flow>> places;  ///< what locate() knows
  std::map<std::string, std::string> lookups;            ///< and what it asks for otherwise

  Route route(const sip::Message& request, const sip::Flow&, Instant) override {
    if (decide) {
      if (std::optional<Route> decision = decide(request)) return *decision;
    }
    auto uri = sip::Uri::parse(request.request_uri());
    if (uri && uri->user == "pair") return RouteTargets{{{provider, {}}, {other, {}}}};
    if (uri && uri->user == "echo") return RouteToService{MediaService::echo};
    if (uri && uri->user == "dave") return RouteTargets{{{sip::Flow::link(2), {}}}};
    return RouteTargets{{{provider, {}}}};
  }
  bool follows_targets(const sip::Flow& flow) const override { return !flow.is_link(); }
  std::string owner_of(const sip::Flow& flow) const override { return flow.to_string(); }
  LegPolicy policy_of(const sip::Flow& flow) const override {
    auto found = policies.find(flow);
    return found == policies.end() ? LegPolicy{} : found->second;
  }
  std::string own_host;  ///< of URIs that mean the bridge itself
  bool leads_here(std::string_view uri) const override {
    return !own_host.empty() && uri.ends_with("@" + own_host);
  }
  std::vector<sip::Flow> locate(std::string_view uri, const sip::Flow&, Instant,
                                std::string& lookup) override {
    auto known = places.find(std::string(uri));
    if (known != places.end()) return known->second;
    auto to_ask = lookups.find(std::string(uri));
    if (to_ask != lookups.end()) lookup = to_ask->second;
    return {};
  }
  void on_outcome(const sip::Flow& to, HopOutcome outcome, unsigned retry_after_s,
                  Instant) override {
    outcomes.push_back({to, outcome, retry_after_s});
  }
  void on_moved(const sip::Flow& from, const sip::Flow& to, HopOutcome why) override {
    moves.push_back({from, to, why});
  }
  std::vector<Move> moves;
  std::optional<Credentials> credentials_for(const sip::Flow& to, std::string_view caller_uri,
                                             const sip::Flow* on_behalf) const override {
    auto uri = sip::Uri::parse(caller_uri);
    std::string user = uri ? uri->decoded_user() : std::string();
    if (user == "anonymous" && on_behalf) user = owners.at(*on_behalf);
    auto known = credentials.find(user);
    if (to.is_link() || known == credentials.end()) return std::nullopt;
    return Credentials{user, known->second};
  }
  std::map<sip::Flow, std::string>
      owners;  ///< flow → user, of callers that do not say who they are
  std::map<std::string, std::string> credentials;  ///< toward networks: user → password
};

/// A bridge fed by hand, on virtual time: each message in and each message out is the test's.
struct BridgeBench : testing::Test {
  struct Sent {
    sip::Flow flow;
    sip::Message message;
  };

  explicit BridgeBench(BridgeConfig config = {})
      : bridge(with_host(std::move(config)), router, media, bindings, nullptr, random) {}

  const sip::Flow alice = sip::Flow::link(1), dave = sip::Flow::link(2);
  BenchRouter router;
  const sip::Flow &carol = router.provider, &other = router.other;
  Instant now{std::chrono::hours(1)};
  SeededRandom random{11};
  BindingTable bindings{Bytes(32, 7)};
  sim::FakeMediaPlane media{*IpAddress::parse("192.0.2.1")};
  Bridge bridge;
  std::vector<Sent> sent;
  std::vector<CallRecord> ended;
  std::vector<std::string> lookups_asked;
  std::vector<WakeUser> woken;

  static BridgeConfig with_host(BridgeConfig config) {
    config.network_sent_by = {"192.0.2.1:5060"};
    return config;
  }

  static std::string sdp(std::string_view lines = {}, int port = 40000,
                         std::string_view address = "10.0.0.1") {
    std::string text = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 ";
    text.append(address).append("\r\nt=0 0\r\nm=audio ").append(std::to_string(port));
    return text.append(" RTP/AVP 0\r\n").append(lines);
  }

  /// A request outside a dialog, from alice.
  sip::Message request(std::string_view method, std::string_view uri, std::string_view body = {}) {
    std::string id = std::to_string(++serial_);
    sip::Message out = sip::Message::request(method, uri);
    out.add(sip::HeaderId::via, "SIP/2.0/TLS alice.invalid;branch=z9hG4bKa" + id);
    out.add(sip::HeaderId::max_forwards, "70");
    out.add(sip::HeaderId::from, "<sip:alice@example.org>;tag=a" + id);
    out.add(sip::HeaderId::to, "<" + std::string(uri) + ">");
    out.add(sip::HeaderId::call_id, "call-" + id);
    out.add(sip::HeaderId::cseq, "1 " + std::string(method));
    out.add(sip::HeaderId::contact, "<sip:alice@alice.invalid>");
    if (!body.empty()) out.set_body(body, "application/sdp");
    return out;
  }
  static sip::Message cancel_of(const sip::Message& invited) {
    sip::Message cancel = sip::Message::request("CANCEL", invited.request_uri());
    for (sip::HeaderId id : {sip::HeaderId::via, sip::HeaderId::max_forwards, sip::HeaderId::from,
                             sip::HeaderId::to, sip::HeaderId::call_id}) {
      cancel.add(id, *invited.get(id));
    }
    cancel.add(sip::HeaderId::cseq, std::to_string(invited.cseq()->number) + " CANCEL");
    return cancel;
  }
  /// A request inside the dialog of `response` (as it came to its sender), by who got it.
  sip::Message by_caller(const sip::Message& response, std::string_view method, unsigned cseq,
                         std::string_view body = {}) {
    sip::Message out = within(response, method, cseq, body, response.contact()->uri);
    out.add(sip::HeaderId::from, *response.get(sip::HeaderId::from));
    out.add(sip::HeaderId::to, *response.get(sip::HeaderId::to));
    out.add(sip::HeaderId::contact, "<sip:alice@alice.invalid>");
    return out;
  }
  /// A request inside the dialog that `opening` (as it came to its receiver) opened with `tag`.
  sip::Message by_callee(const sip::Message& opening, std::string_view tag, std::string_view method,
                         unsigned cseq, std::string_view body = {}) {
    sip::Message out = within(opening, method, cseq, body, opening.contact()->uri);
    out.add(sip::HeaderId::from,
            std::string(*opening.get(sip::HeaderId::to)) + ";tag=" + std::string(tag));
    out.add(sip::HeaderId::to, *opening.get(sip::HeaderId::from));
    out.add(sip::HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
    return out;
  }
  sip::Message response(const sip::Message& to, int status, std::string_view tag = {},
                        std::string_view body = {}) {
    sip::Message out = sip::Message::response_to(to, status, {}, tag);
    if (status < 300) out.add(sip::HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
    if (!body.empty()) out.set_body(body, "application/sdp");
    return out;
  }

  void give(const sip::Message& message, const sip::Flow& from) {
    auto parsed = sip::Message::parse(message.serialize());
    ASSERT_TRUE(parsed) << message.serialize();
    ASSERT_FALSE(parsed->check()) << message.serialize();
    Actions actions;
    bridge.on_message(std::move(*parsed), from, now, actions);
    take(actions);
  }
  /// Bytes that parse() or check() refuses, as a transport hands them on.
  void give_broken(const std::string& text, const sip::Flow& from) {
    auto parsed = sip::Message::parse(text);
    std::optional<sip::Fault> fault;
    if (parsed) {
      fault = parsed->check();
    } else {
      fault = parsed.error();
    }
    ASSERT_TRUE(fault) << text;
    Actions actions;
    bridge.on_broken_response(text, *fault, from, now, actions);
    take(actions);
  }
  void flow_failed(const sip::Flow& flow) {
    Actions actions;
    bridge.on_flow_failed(flow, now, actions);
    take(actions);
  }
  void lookup_done(std::string_view key) {
    Actions actions;
    bridge.on_lookup_done(key, now, actions);
    take(actions);
  }
  void user_available(std::string_view user) {
    Actions actions;
    bridge.on_user_available(user, now, actions);
    take(actions);
  }
  void close_session(std::uint64_t session) {
    Actions actions;
    bridge.on_session_closed(session, now, actions);
    take(actions);
  }
  void pass(Duration span) {
    Instant end = now + span;
    for (;;) {
      std::optional<Instant> next = bridge.next_deadline();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      Actions actions;
      bridge.on_timeout(now, actions);
      take(actions);
    }
    now = end;
  }

  /// The newest that went to that flow: a request of that method, or a response of that status to
  /// it. Nothing found is a failure, and an empty message.
  sip::Message last(const sip::Flow& to, std::string_view method, int status = 0) {
    for (auto entry = sent.rbegin(); entry != sent.rend(); ++entry) {
      if (entry->flow == to && entry->message.method_text() == method &&
          entry->message.status() == status)
        return entry->message;
    }
    ADD_FAILURE() << "no " << method << " " << status << " to " << to.to_string();
    return sip::Message::request("NONE", "sip:none.invalid");
  }
  std::size_t count(const sip::Flow& to, std::string_view method, int status = 0) const {
    return static_cast<std::size_t>(std::count_if(sent.begin(), sent.end(), [&](const Sent& entry) {
      return entry.flow == to && entry.message.method_text() == method &&
             entry.message.status() == status;
    }));
  }

  /// Alice calls carol, who answers. @return the 200 as alice got it.
  sip::Message answered_call(std::string_view uri = "sip:carol@example.org") {
    give(request("INVITE", uri, sdp()), alice);
    invite = last(carol, "INVITE");
    give(response(invite, 200, "c1", sdp()), carol);
    sip::Message ok = last(alice, "INVITE", 200);
    give(by_caller(ok, "ACK", 1), alice);
    return ok;
  }
  sip::Message invite = sip::Message::request("NONE", "sip:none.invalid");  ///< as carol got it

  void expect_nothing_left() {
    pass(seconds(70));
    EXPECT_EQ(bridge.call_count(), 0u);
    EXPECT_TRUE(media.ends.empty());
    EXPECT_EQ(bridge.transactions().open_client_transactions(), 0u);
    EXPECT_EQ(bridge.transactions().open_server_transactions(), 0u);
  }

 private:
  sip::Message within(const sip::Message& reference, std::string_view method, unsigned cseq,
                      std::string_view body, const std::string& target) {
    sip::Message out = sip::Message::request(method, target);
    out.add(sip::HeaderId::via,
            "SIP/2.0/TLS peer.invalid;branch=z9hG4bKd" + std::to_string(++serial_));
    out.add(sip::HeaderId::max_forwards, "70");
    out.add(sip::HeaderId::call_id, reference.call_id());
    out.add(sip::HeaderId::cseq, std::to_string(cseq) + " " + std::string(method));
    if (!body.empty()) out.set_body(body, "application/sdp");
    return out;
  }
  void take(Actions& actions) {
    for (Action& action : actions) {
      if (auto* send = std::get_if<SendSip>(&action)) {
        auto message = sip::Message::parse(send->bytes);
        ASSERT_TRUE(message) << send->bytes;
        sent.push_back({send->flow, std::move(*message)});
      } else if (auto* changed = std::get_if<CallChanged>(&action)) {
        if (changed->ended) ended.push_back(changed->record);
      } else if (auto* lookup = std::get_if<Lookup>(&action)) {
        lookups_asked.push_back(lookup->key);
      } else if (auto* wake = std::get_if<WakeUser>(&action)) {
        woken.push_back(*wake);
      }
    }
  }

  unsigned serial_ = 0;
};

}  // namespace isthmus::call
