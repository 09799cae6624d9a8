// DTMF digits between INFO and telephone events (RFC 4733), by a leg's policy.
#include "base/limits.hpp"
#include "bridge_bench.hpp"
#include "call/dtmf_info.hpp"
#include "sdp/session_description.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

constexpr const char* kEvents =
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

struct DigitBench : BridgeBench {
  /// The form that carol's provider takes digits in.
  void provider_takes(DtmfForm form) { router.policies[carol].dtmf = form; }

  static std::string audio(std::string_view formats, std::string_view lines = {},
                           int port = 40000) {
    return "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio " +
           std::to_string(port) + " RTP/AVP " + std::string(formats) + "\r\n" + std::string(lines);
  }
  static sdp::SessionDescription::Media media_of(const sip::Message& message) {
    auto parsed = sdp::SessionDescription::parse(message.body());
    EXPECT_TRUE(parsed) << message.serialize();
    return parsed->media().at(0);
  }
  /// "0 101" and each telephone-event as "101/8000".
  static std::string formats_of(const sip::Message& message) {
    std::string text;
    auto section = media_of(message);
    for (const std::string& format : section.formats()) text += format + " ";
    for (const sdp::RtpMap& map : section.rtpmaps()) {
      if (map.encoding == "telephone-event")
        text += std::to_string(map.payload_type) + "/" + std::to_string(map.clock_rate) + " ";
    }
    return text;
  }
  sim::FakeMediaPlane::End& end(bool link) {
    for (auto& [id, entry] : media.ends) {
      if (entry.link == link) return entry;
    }
    static sim::FakeMediaPlane::End none;
    ADD_FAILURE() << "no such end";
    return none;
  }
  /// Alice calls carol, with these descriptions. @return the 200 as alice got it.
  sip::Message call(const std::string& offer, const std::string& answer) {
    give(request("INVITE", "sip:carol@example.org", offer), alice);
    invite = last(carol, "INVITE");
    give(response(invite, 200, "c1", answer), carol);
    sip::Message ok = last(alice, "INVITE", 200);
    give(by_caller(ok, "ACK", 1), alice);
    return ok;
  }
  void hear(bool link, char digit, unsigned ms) {
    const sim::FakeMediaPlane::End& from = end(link);
    hear_at(from.remote.events.call, from.local.id, digit, ms);
  }
  void hear_at(CallId id, MediaEndpointId from, char digit, unsigned ms) {
    Actions actions;
    bridge.on_digit(id, from, {digit, ms}, now, actions);
    for (Action& action : actions) {
      if (auto* send = std::get_if<SendSip>(&action)) {
        auto message = sip::Message::parse(send->bytes);
        ASSERT_TRUE(message && !message->check()) << send->bytes;
        sent.push_back({send->flow, std::move(*message)});
      }
    }
  }
  sip::Message info(sip::Message info, std::string_view body,
                    std::string_view type = "application/dtmf-relay") {
    info.set_body(body, type);
    return info;
  }
};

TEST(DtmfInfoBody, is_read_as_phones_write_it_and_nothing_else_is) {
  auto read = [](std::string_view type, std::string_view body) -> std::string {
    sip::Message info = sip::Message::request("INFO", "sip:a@b");
    if (!body.empty()) info.set_body(body, type);
    auto digit = DtmfInfo::of(info);
    return digit ? std::string(1, digit->digit) + std::to_string(digit->duration_ms) : "none";
  };
  const char* relay = "application/dtmf-relay";
  EXPECT_EQ(read(relay, "Signal=5\r\nDuration=160\r\n"), "5160");
  EXPECT_EQ(read(relay, "Signal= *\nDuration = 250"), "*250");
  EXPECT_EQ(read(relay, "duration=90\r\nsignal=d"), "D90");
  EXPECT_EQ(read(relay, "Signal=11\r\n"), "#160");
  EXPECT_EQ(read(relay, "Signal=1\r\nDuration=often\r\n"), "1160");
  EXPECT_EQ(read("application/dtmf", "7"), "7160");
  EXPECT_EQ(read("application/dtmf", "#\r\n"), "#160");
  EXPECT_EQ(read("Application/DTMF-Relay;x=1", "Signal=0\r\nDuration=1\r\n"), "01");
  for (const char* body : {"Signal=16\r\n", "Signal=\r\n", "Signal=55\r\n", "Signal=x",
                           "Duration=160", "=", "\n\n\r", "Signal"}) {
    EXPECT_EQ(read(relay, body), "none") << body;
  }
  EXPECT_EQ(read("text/plain", "Signal=5\r\n"), "none");
  EXPECT_EQ(read(relay, ""), "none");
  DtmfInfo digit{'#', 320};
  EXPECT_EQ(digit.to_body(), "Signal=#\r\nDuration=320\r\n");
  EXPECT_EQ(read(relay, digit.to_body()), "#320");
}

TEST_F(DigitBench, nothing_changes_where_no_form_is_asked_for) {
  sip::Message ok = call(audio("0 101", kEvents), audio("0 101", kEvents));
  EXPECT_EQ(formats_of(invite), "0 101 101/8000 ");
  EXPECT_FALSE(end(true).remote.events.plays());
  EXPECT_TRUE(end(true).remote.events.taken.none());
  give(info(by_caller(ok, "INFO", 2), "Signal=5\r\nDuration=160\r\n"), alice);
  EXPECT_EQ(last(carol, "INFO").body(), "Signal=5\r\nDuration=160\r\n");
  EXPECT_TRUE(media.played.empty());
}

TEST_F(DigitBench, provider_of_infos_is_offered_no_events_and_the_client_is_answered_with_its_own) {
  provider_takes(DtmfForm::info);
  sip::Message ok = call(audio("0 101 8", kEvents), audio("8 0"));
  EXPECT_EQ(formats_of(invite), "0 8 ");
  EXPECT_FALSE(media_of(invite).fmtp(101));
  EXPECT_EQ(media_of(invite).attribute("sendrecv"), "");
  EXPECT_EQ(formats_of(ok), "8 0 101 101/8000 ");
  EXPECT_EQ(media_of(ok).fmtp(101), "0-15");
  EXPECT_TRUE(end(true).remote.events.taken.test(101));
  EXPECT_EQ(end(true).remote.events.type, 101);
  EXPECT_FALSE(end(false).remote.events.plays());
}

TEST_F(DigitBench, events_of_the_client_become_infos_one_after_the_other) {
  provider_takes(DtmfForm::info);
  sip::Message ok = call(audio("0 101", kEvents), audio("0"));
  hear(true, '5', 170);
  hear(true, '#', 90);
  ASSERT_EQ(count(carol, "INFO"), 1u);
  sip::Message first = last(carol, "INFO");
  EXPECT_EQ(first.content_type(), "application/dtmf-relay");
  EXPECT_EQ(first.body(), "Signal=5\r\nDuration=170\r\n");
  EXPECT_EQ(first.call_id(), invite.call_id());
  EXPECT_EQ(first.to_tag(), "c1");
  EXPECT_EQ(first.from_tag(), invite.from_tag());
  EXPECT_GT(first.cseq()->number, invite.cseq()->number);
  EXPECT_EQ(first.request_uri(), "sip:carol@198.51.100.1:5060");
  give(response(first, 200), carol);
  sip::Message second = last(carol, "INFO");
  EXPECT_EQ(second.body(), "Signal=#\r\nDuration=90\r\n");
  EXPECT_EQ(second.cseq()->number, first.cseq()->number + 1);
  give(response(second, 415), carol);  // it is the provider's loss, not the call's
  EXPECT_EQ(bridge.call_count(), 1u);
  EXPECT_EQ(count(alice, "INFO"), 0u);
  EXPECT_EQ(bridge.counters().digits_converted, 2u);
  // The client's own requests are numbered behind ours.
  give(by_caller(ok, "BYE", 2), alice);
  EXPECT_EQ(last(carol, "BYE").cseq()->number, second.cseq()->number + 1);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(last(alice, "BYE", 200).cseq()->number, 2u);
  expect_nothing_left();
}

TEST_F(DigitBench, infos_of_the_provider_become_events_for_the_client) {
  provider_takes(DtmfForm::info);
  call(audio("0 96", "a=rtpmap:96 telephone-event/8000\r\n"), audio("0"));
  give(info(by_callee(invite, "c1", "INFO", 1), "Signal=8\r\nDuration=200\r\n"), carol);
  EXPECT_EQ(count(alice, "INFO"), 0u);
  EXPECT_EQ(last(carol, "INFO", 200).cseq()->number, 1u);
  ASSERT_EQ(media.played.size(), 1u);
  EXPECT_EQ(media.played[0].to, end(true).local.id);
  EXPECT_EQ(media.played[0].digit, '8');
  EXPECT_EQ(media.played[0].duration_ms, 200u);
  EXPECT_EQ(end(true).remote.events.type, 96);
  // What is no digit passes, and what finds no room is told so.
  give(info(by_callee(invite, "c1", "INFO", 2), "Signal=16\r\n"), carol);
  EXPECT_EQ(count(alice, "INFO"), 1u);
  media.digits_full = true;
  give(info(by_callee(invite, "c1", "INFO", 3), "Signal=8\r\n"), carol);
  EXPECT_EQ(last(carol, "INFO", 503).get(HeaderId::retry_after), "1");
}

TEST_F(DigitBench, call_from_a_provider_of_infos_is_offered_events) {
  router.policies[carol].dtmf = DtmfForm::info;
  router.decide = [](const sip::Message&) { return RouteTargets{{{sip::Flow::link(1), {}}}}; };
  std::string offer =
      audio("111 0 101", "a=rtpmap:111 opus/48000/2\r\na=rtpmap:101 speex/8000\r\n");
  sip::Message in = request("INVITE", "sip:alice@example.org", offer);
  in.set(HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
  give(in, carol);
  sip::Message rung = last(alice, "INVITE");
  // One for each clock rate, under types that mean nothing else.
  EXPECT_EQ(formats_of(rung), "111 0 101 96 97 96/48000 97/8000 ");
  give(response(rung, 200, "a1", audio("0 97", "a=rtpmap:97 telephone-event/8000\r\n")), alice);
  EXPECT_EQ(formats_of(last(carol, "INVITE", 200)), "0 ");
  EXPECT_TRUE(end(true).remote.events.taken.test(97));
  EXPECT_EQ(end(true).remote.events.type, 97);
  EXPECT_EQ(end(true).remote.events.clock_rate, 8000u);
  hear(true, '1', 100);
  EXPECT_EQ(count(carol, "INFO"), 1u);
}

TEST_F(DigitBench, infos_of_a_client_become_events_for_a_provider_of_events) {
  provider_takes(DtmfForm::rfc4733);
  sip::Message ok = call(audio("0"), audio("0 101", kEvents));
  EXPECT_EQ(formats_of(invite), "0 101 101/8000 ");
  EXPECT_EQ(formats_of(ok), "0 ");
  give(info(by_caller(ok, "INFO", 2), "3", "application/dtmf"), alice);
  EXPECT_EQ(count(alice, "INFO", 200), 1u);
  EXPECT_EQ(count(carol, "INFO"), 0u);
  ASSERT_EQ(media.played.size(), 1u);
  EXPECT_EQ(media.played[0].to, end(false).local.id);
  // And its events are INFOs for the client, which knows nothing else.
  hear(false, '9', 120);
  EXPECT_EQ(last(alice, "INFO").body(), "Signal=9\r\nDuration=120\r\n");
  EXPECT_EQ(last(alice, "INFO").to_tag(), ok.from_tag());
}

TEST_F(DigitBench, both_ends_with_events_keep_them_and_an_info_is_played_all_the_same) {
  provider_takes(DtmfForm::rfc4733);
  sip::Message ok = call(audio("0 101", kEvents), audio("0 101", kEvents));
  EXPECT_EQ(media_of(invite).fmtp(101), "0-16") << "nothing was touched";
  EXPECT_TRUE(end(true).remote.events.taken.none());
  EXPECT_TRUE(end(false).remote.events.taken.none());
  give(info(by_caller(ok, "INFO", 2), "Signal=3\r\n"), alice);
  EXPECT_EQ(media.played.size(), 1u);
}

TEST_F(DigitBench, provider_that_refuses_events_gets_infos_as_they_come) {
  provider_takes(DtmfForm::rfc4733);
  sip::Message ok = call(audio("0 101", kEvents), audio("0"));
  EXPECT_EQ(formats_of(ok), "0 ");
  give(info(by_caller(ok, "INFO", 2), "Signal=3\r\n"), alice);
  EXPECT_EQ(count(carol, "INFO"), 1u);
  EXPECT_TRUE(media.played.empty());
}

TEST_F(DigitBench, encrypted_audio_and_other_streams_pass_as_they_are) {
  provider_takes(DtmfForm::info);
  std::string offer = audio("0 101", kEvents);
  offer.replace(offer.find("RTP/AVP"), 7, "RTP/SAVP");
  give(request("INVITE", "sip:carol@example.org", offer), alice);
  EXPECT_EQ(formats_of(last(carol, "INVITE")), "0 101 101/8000 ");
}

TEST_F(DigitBench, refused_reoffer_leaves_the_conversion_as_it_was) {
  provider_takes(DtmfForm::info);
  sip::Message ok = call(audio("0 101", kEvents), audio("0"));
  give(by_caller(ok, "INVITE", 2, audio("0 102", "a=rtpmap:102 telephone-event/8000\r\n")), alice);
  EXPECT_TRUE(end(true).remote.events.taken.test(101)) << "until it is answered";
  give(response(last(carol, "INVITE"), 488, "c1"), carol);
  EXPECT_TRUE(end(true).remote.events.taken.test(101));
  EXPECT_EQ(end(true).remote.events.type, 101);
  give(by_caller(ok, "INVITE", 3, audio("0 102", "a=rtpmap:102 telephone-event/8000\r\n")), alice);
  give(response(last(carol, "INVITE"), 200, "c1", audio("0")), carol);
  EXPECT_TRUE(end(true).remote.events.taken.test(102));
  EXPECT_FALSE(end(true).remote.events.taken.test(101));
  EXPECT_EQ(end(true).remote.events.type, 102);
}

TEST_F(DigitBench, digit_before_the_answer_goes_into_the_early_dialog) {
  provider_takes(DtmfForm::info);
  give(request("INVITE", "sip:carol@example.org", audio("0 101", kEvents)), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 183, "c1", audio("0")), carol);
  EXPECT_EQ(formats_of(last(alice, "INVITE", 183)), "0 101 101/8000 ");
  hear(true, '4', 100);
  EXPECT_EQ(last(carol, "INFO").to_tag(), "c1");
}

TEST_F(DigitBench, challenged_info_is_answered_and_one_to_a_dialog_that_is_gone_ends_the_call) {
  provider_takes(DtmfForm::info);
  router.credentials["alice"] = "secret";
  call(audio("0 101", kEvents), audio("0"));
  hear(true, '1', 100);
  sip::Message first = last(carol, "INFO");
  sip::Message challenge = response(first, 407);
  challenge.add(HeaderId::proxy_authenticate, R"(Digest realm="r", nonce="n", qop="auth")");
  give(challenge, carol);
  sip::Message again = last(carol, "INFO");
  EXPECT_TRUE(again.has(HeaderId::proxy_authorization));
  EXPECT_EQ(again.cseq()->number, first.cseq()->number + 1);
  EXPECT_EQ(again.body(), first.body());
  give(response(again, 481), carol);
  EXPECT_EQ(count(alice, "BYE"), 1u);
  EXPECT_EQ(count(carol, "BYE"), 0u);
  give(response(last(alice, "BYE"), 200), alice);
  expect_nothing_left();
}

TEST_F(DigitBench, flood_of_digits_waits_within_bounds_and_is_forgotten_with_a_silent_peer) {
  provider_takes(DtmfForm::info);
  call(audio("0 101", kEvents), audio("0"));
  for (int i = 0; i < 500; ++i) hear(true, '1', 100);
  EXPECT_EQ(count(carol, "INFO"), 1u);
  pass(seconds(33));  // nobody answers
  std::size_t tried = count(carol, "INFO");
  hear(true, '2', 100);
  EXPECT_EQ(last(carol, "INFO").body(), "Signal=2\r\nDuration=100\r\n") << "not what waited before";
  EXPECT_EQ(count(carol, "INFO"), tried + 1);
  for (std::size_t i = 0; i < 500; ++i) hear(true, '3', 100);
  std::size_t answered = 0;
  for (; answered < 500; ++answered) {
    std::size_t before = count(carol, "INFO");
    give(response(last(carol, "INFO"), 200), carol);
    if (count(carol, "INFO") == before) break;
  }
  EXPECT_EQ(answered, limits::kDtmfQueueDigits);
  hear_at(12345, 1, '1', 100);  // of a call that is over
  hear_at(end(true).remote.events.call, 999, '1', 100);
}

}  // namespace
}  // namespace isthmus::call
