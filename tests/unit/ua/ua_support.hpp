#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "sip/message.hpp"
#include "support/sim_world.hpp"
#include "ua/user_agent.hpp"

namespace isthmus::ua {

inline std::vector<AudioFormat> test_formats() {
  return {{"opus", 48000, 2, 111, "useinbandfec=1"},
          {"PCMU", 8000, 1, 0, {}},
          {"PCMA", 8000, 1, 8, {}}};
}

inline UserAgentOptions test_options(const std::string& user) {
  UserAgentOptions options;
  options.aor = "sip:" + user + "@home.example";
  options.software = "test";
  options.formats = test_formats();
  return options;
}

/// A user agent as a node of a simulated world, with all that it reported.
class UaNode final : public sim::Node {
 public:
  UaNode(sim::World& world, UserAgentOptions options, std::uint64_t session)
      : world_(world),
        session_(session),
        random_(world.random.u64()),
        agent(std::move(options), random_) {
    world.add(*this);
  }

  void on_udp(const Endpoint&, const Endpoint&, std::string, Instant) override {}
  void on_link(std::uint64_t, std::string bytes, Instant now) override {
    if (drop_incoming && drop_incoming(bytes)) return;
    received.push_back(bytes);
    agent.on_sip(std::move(bytes), now, outputs_);
    drain();
  }
  void on_timeout(Instant now) override {
    agent.on_timeout(now, outputs_);
    drain();
  }
  std::optional<Instant> next_deadline() const override { return agent.next_deadline(); }

  void link_up() {
    run([&](Outputs& out) { agent.on_link_up(world_.now, out); });
  }
  void link_down() {
    run([&](Outputs& out) { agent.on_link_down(world_.now, out); });
  }
  Result<CallId, UaError> call(std::string_view target, bool late_offer = false) {
    return run([&](Outputs& out) { return agent.call(target, {late_offer}, world_.now, out); });
  }
  auto answer(CallId id) {
    return run([&](Outputs& out) { return agent.answer(id, world_.now, out); });
  }
  auto reject(CallId id, int status) {
    return run([&](Outputs& out) { return agent.reject(id, status, {}, world_.now, out); });
  }
  auto hang_up(CallId id) {
    return run([&](Outputs& out) { return agent.hang_up(id, world_.now, out); });
  }
  auto hold(CallId id, bool on = true) {
    return run([&](Outputs& out) { return agent.hold(id, on, world_.now, out); });
  }
  auto send_info_digit(CallId id, char digit) {
    return run([&](Outputs& out) { return agent.send_info_digit(id, digit, world_.now, out); });
  }
  void register_for(std::uint32_t expires_s) {
    run([&](Outputs& out) { agent.start_registration(expires_s, world_.now, out); });
  }
  void unregister() {
    run([&](Outputs& out) { agent.stop_registration(world_.now, out); });
  }
  void inject(std::string bytes) { on_link(session_, std::move(bytes), world_.now); }

  CallState state() const { return changes.empty() ? CallState::ended : changes.back().state; }
  CallId incoming() const { return incoming_calls.empty() ? 0 : incoming_calls.back().call; }
  bool ended() const { return !changes.empty() && changes.back().state == CallState::ended; }
  const CallChanged& last() const { return changes.back(); }
  std::vector<CallState> states() const {
    std::vector<CallState> all;
    for (const CallChanged& change : changes) all.push_back(change.state);
    return all;
  }
  /// The last message sent whose start line begins like that; empty message if none.
  sip::Message sent(std::string_view start) const { return last_of(sent_messages, start); }
  std::size_t count_sent(std::string_view start) const {
    std::size_t count = 0;
    for (const auto& bytes : sent_messages) count += bytes.starts_with(start) ? 1 : 0;
    return count;
  }

  std::vector<CallChanged> changes;
  std::vector<IncomingCall> incoming_calls;
  std::vector<RegistrationChanged> registrations;
  std::vector<AgreedMedia> media;
  std::string digits;
  std::vector<std::string> sent_messages, received;
  std::function<bool(const std::string&)> drop_incoming;
  bool connected = true;  ///< false: what is sent is only kept

 private:
  static sip::Message last_of(const std::vector<std::string>& all, std::string_view start) {
    for (auto bytes = all.rbegin(); bytes != all.rend(); ++bytes) {
      if (!bytes->starts_with(start)) continue;
      auto message = sip::Message::parse(*bytes);
      if (message) return std::move(*message);
    }
    return {};
  }
  template <typename Function>
  std::invoke_result_t<Function, Outputs&> run(Function function) {
    if constexpr (std::is_void_v<std::invoke_result_t<Function, Outputs&>>) {
      function(outputs_);
      drain();
    } else {
      auto result = function(outputs_);
      drain();
      return result;
    }
  }
  void drain() {
    Outputs batch;
    batch.swap(outputs_);
    for (Output& output : batch) {
      if (auto* send = std::get_if<SendSip>(&output)) {
        sent_messages.push_back(send->bytes);
        if (connected) world_.send_link(*this, session_, std::move(send->bytes));
      } else if (auto* change = std::get_if<CallChanged>(&output)) {
        changes.push_back(*change);
      } else if (auto* call = std::get_if<IncomingCall>(&output)) {
        incoming_calls.push_back(*call);
      } else if (auto* registration = std::get_if<RegistrationChanged>(&output)) {
        registrations.push_back(*registration);
      } else if (auto* agreed = std::get_if<MediaChanged>(&output)) {
        media.push_back(agreed->media);
      } else if (auto* digit = std::get_if<DigitReceived>(&output)) {
        digits += digit->digit;
      }
    }
  }

  sim::World& world_;
  std::uint64_t session_;
  SeededRandom random_;
  Outputs outputs_;

 public:
  UserAgent agent;
};

/// Two user agents, each the other's gateway: every message of the one is the other's.
struct Pair : testing::Test {
  sim::World world{71};
  UaNode ann{world, test_options("ann"), 1}, ben{world, test_options("ben"), 1};

  Pair() {
    world.attach_link(ann, 1, ben, 1);
    ann.link_up();
    ben.link_up();
  }
  bool until(const std::function<bool()>& condition) { return world.run_until(condition); }
  /// ann calls ben, who answers. @return ann's id, ben's id
  std::pair<CallId, CallId> talk(bool late_offer = false) {
    const CallId before = ben.incoming();
    const auto id = ann.call("ben", late_offer);
    EXPECT_TRUE(id);
    EXPECT_TRUE(until([&] { return ben.incoming() != before; }));
    const CallId theirs = ben.incoming();
    EXPECT_TRUE(ben.answer(theirs));
    EXPECT_TRUE(until([&] { return ann.state() == CallState::connected; }));
    world.run_for(milliseconds(100));
    return {*id, theirs};
  }
  void expect_nothing_left() {
    world.run_for(seconds(70));
    for (UaNode* node : {&ann, &ben}) {
      EXPECT_EQ(node->agent.call_count(), 0u);
      EXPECT_TRUE(node->agent.quiet());
      EXPECT_FALSE(node->agent.next_deadline()) << "a timer was left behind";
    }
  }
};

/// One user agent, and a test that plays its gateway by hand.
struct Alone : testing::Test {
  sim::World world{72};
  UaNode ann{world, test_options("ann"), 1};
  std::uint32_t cseq = 0;

  Alone() {
    ann.connected = false;
    ann.link_up();
  }
  static constexpr const char* kOffer =
      "v=0\r\no=- 7 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
      "m=audio 40 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

  /// A request from the gateway. @param to_tag  empty: outside a dialog
  sip::Message request(std::string_view method, std::string_view to_tag = {},
                       std::string_view call_id = "call-1") {
    sip::Message message = sip::Message::request(method, ann.agent.contact_uri());
    message.add(sip::HeaderId::via,
                "SIP/2.0/TLS gateway.invalid;branch=z9hG4bK" + std::to_string(++cseq));
    message.add(sip::HeaderId::max_forwards, "69");
    message.add(sip::HeaderId::from, "\"Ben B\" <sip:ben@home.example>;tag=ben1");
    message.add(sip::HeaderId::to,
                "<sip:ann@home.example>" + (to_tag.empty() ? "" : ";tag=" + std::string(to_tag)));
    message.add(sip::HeaderId::call_id, call_id);
    message.add(sip::HeaderId::cseq, std::to_string(cseq) + " " + std::string(method));
    message.add(sip::HeaderId::contact, "<sip:ben@gateway.invalid;transport=tls>");
    return message;
  }
  sip::Message invite() {
    sip::Message message = request("INVITE");
    message.set_body(kOffer, "application/sdp");
    return message;
  }
  /// Injects it, and returns the last message that was sent.
  sip::Message exchange(const sip::Message& message) {
    ann.inject(message.serialize());
    EXPECT_FALSE(ann.sent_messages.empty());
    return ann.sent("");
  }
  /// A response to what the user agent sent last of that method.
  void respond(std::string_view method, int status, std::string_view tag = "ben1",
               std::string_view sdp = {},
               const std::vector<std::pair<std::string, std::string>>& extra = {}) {
    const sip::Message to = ann.sent(std::string(method) + " ");
    ASSERT_EQ(to.method_text(), method);
    sip::Message response = sip::Message::response_to(to, status, {}, status > 100 ? tag : "");
    response.add(sip::HeaderId::contact, "<sip:ben@gateway.invalid;transport=tls>");
    for (const auto& [name, value] : extra) response.add(name, value);
    if (!sdp.empty()) response.set_body(sdp, "application/sdp");
    ann.inject(response.serialize());
  }
  /// An incoming call that was answered and acknowledged. @return our To tag
  std::string answered_call() {
    const sip::Message asked = invite();
    ann.inject(asked.serialize());
    EXPECT_TRUE(ann.answer(ann.incoming()));
    const std::string tag = ann.sent("SIP/2.0 200").to_tag();
    sip::Message ack = request("ACK", tag);
    ack.set(sip::HeaderId::cseq, std::to_string(asked.cseq()->number) + " ACK");
    ann.inject(ack.serialize());
    return tag;
  }
};

}  // namespace isthmus::ua
