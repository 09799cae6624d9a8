// What one whole call costs the bridge, from INVITE on a link to the 200 of its BYE, without
// sockets: eight messages in (INVITE, 180, 200, ACK, BYE, 200 and what the transactions add),
// parsing, checking and serialising included.
#include <benchmark/benchmark.h>

#include "bench/invite.hpp"
#include "call/bridge.hpp"
#include "provider/gateway_router.hpp"
#include "support/fake_media_plane.hpp"

namespace isthmus {
namespace {

const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");

struct Setup {
  SeededRandom random{1};
  call::BindingTable bindings{Bytes(32, 1)};
  provider::GatewayRouter router{{"home.example", "echo", "tone", {}, {}}, bindings};
  sim::FakeMediaPlane media{*IpAddress::parse("192.0.2.1")};
  call::Bridge bridge;
  Instant now{std::chrono::hours(1)};
  call::Actions actions;

  Setup() : bridge(config(), router, media, bindings, nullptr, random) {
    router.add_session(1, {"alice", {"alice"}});
    router.set_providers({{"provider", {"example.org"}, {kProvider}, {}}});
  }
  static call::BridgeConfig config() {
    call::BridgeConfig config;
    config.network_sent_by = {"192.0.2.1:5060"};
    return config;
  }
  /// @return the last message that went out there.
  sip::Message in(std::string bytes, const sip::Flow& from, const sip::Flow& watch) {
    auto message = sip::Message::parse(std::move(bytes));
    benchmark::DoNotOptimize(message->check());
    actions.clear();
    bridge.on_message(std::move(*message), from, now, actions);
    std::string last;
    for (call::Action& action : actions) {
      auto* send = std::get_if<call::SendSip>(&action);
      if (send && send->flow == watch) last = send->bytes;
    }
    return last.empty() ? sip::Message::response(100) : *sip::Message::parse(last);
  }
};

void whole_call(benchmark::State& state) {
  Setup setup;
  const sip::Flow link = sip::Flow::link(1), network = sip::Flow::udp(kProvider);
  std::uint64_t count = 0;
  for (auto _ : state) {
    std::string call_id = std::to_string(10'000'000'000 + ++count) + "xx@bench";
    sip::Message invite = setup.in(bench::invite(call_id), link, network);
    sip::Message ringing = sip::Message::response_to(invite, 180, {}, "callee");
    ringing.add(sip::HeaderId::contact, "<sip:bob@198.51.100.1:5060>");
    setup.in(ringing.serialize(), network, link);
    sip::Message ok = sip::Message::response_to(invite, 200, {}, "callee");
    ok.add(sip::HeaderId::contact, "<sip:bob@198.51.100.1:5060>");
    ok.set_body(invite.body(), "application/sdp");
    sip::Message answered = setup.in(ok.serialize(), network, link);
    sip::Dialog dialog =
        sip::Dialog::as_uac(*sip::Message::parse(bench::invite(call_id)), answered);
    sip::Message ack = dialog.request("ACK", 1);
    ack.prepend(sip::HeaderId::via,
                "SIP/2.0/TLS alice.invalid;branch=z9hG4bKack" + std::to_string(count));
    setup.in(ack.serialize(), link, network);
    sip::Message bye = dialog.request("BYE");
    bye.prepend(sip::HeaderId::via,
                "SIP/2.0/TLS alice.invalid;branch=z9hG4bKbye" + std::to_string(count));
    sip::Message bye_out = setup.in(bye.serialize(), link, network);
    setup.in(sip::Message::response_to(bye_out, 200).serialize(), network, link);
    if (setup.bridge.call_count() != 0) state.SkipWithError("the call did not end");
    setup.now += milliseconds(5);  // 200 calls a second; transactions linger as they do in use
    setup.actions.clear();
    setup.bridge.on_timeout(setup.now, setup.actions);
  }
}
BENCHMARK(whole_call)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace isthmus
