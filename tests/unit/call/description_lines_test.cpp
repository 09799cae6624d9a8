// Descriptions that say too much or too little: several in one body (RFC 5621), answers whose m=
// lines are not those of the offer (RFC 3264 §6).
#include "bridge_bench.hpp"
#include "call/body_parts.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

std::string part(std::string_view content, std::string_view headers = {}) {
  std::string text = "--b\r\nContent-Type: application/sdp\r\n";
  return text.append(headers).append("\r\n").append(content).append("\r\n");
}
const std::string kEnd = "--b--\r\n";

struct SeveralDescriptions : BridgeBench {
  const std::string secret = sdp({}, 41000, "10.9.9.9");
  sip::Message calling(const std::string& body, std::string_view type = "multipart/mixed") {
    sip::Message call = request("INVITE", "sip:carol@example.org");
    call.set_body(body, std::string(type) + ";boundary=b");
    return call;
  }
};

TEST_F(SeveralDescriptions, a_second_one_that_must_be_handled_is_refused) {
  give(calling(part(sdp()) + part(secret) + kEnd), alice);
  EXPECT_EQ(last(alice, "INVITE", 400).reason(), "More than one session description");
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, one_that_may_be_left_out_is_left_out_wherever_it_stands) {
  const std::string optional = "Content-Disposition: session;handling=optional\r\n";
  const std::string text = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n";
  for (const std::string& body : {part(secret, optional) + text + part(sdp()) + kEnd,
                                  part(sdp()) + part(secret, optional) + text + kEnd}) {
    give(calling(body), alice);
    sip::Message seen = last(carol, "INVITE");
    EXPECT_EQ(seen.body().find("10.9.9.9"), std::string_view::npos) << seen.body();
    EXPECT_NE(seen.body().find("hello"), std::string_view::npos);
    EXPECT_NE(description_in(seen)->find("c=IN IP4 192.0.2.1"), std::string_view::npos);
    give(response(seen, 486, "c1"), carol);
  }
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, of_alternatives_one_goes_on) {
  give(calling(part(sdp()) + part(secret) + kEnd, "multipart/alternative"), alice);
  sip::Message seen = last(carol, "INVITE");
  EXPECT_EQ(seen.body().find("10.9.9.9"), std::string_view::npos);
  give(response(seen, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, those_of_early_sessions_are_taken_out) {
  give(calling(part(secret, "Content-Disposition:\r\n early-session\r\n") + part(sdp()) + kEnd),
       alice);
  sip::Message seen = last(carol, "INVITE");
  EXPECT_EQ(seen.body().find("10.9.9.9"), std::string_view::npos);
  EXPECT_EQ(media.ends.size(), 2u);
  give(response(seen, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, a_type_on_a_folded_line_hides_nothing) {
  give(calling("--b\r\nContent-Type:\r\n application/sdp\r\n\r\n" + secret + "\r\n" + kEnd), alice);
  sip::Message seen = last(carol, "INVITE");
  EXPECT_EQ(seen.body().find("c=IN IP4 10.9.9.9"), std::string_view::npos);
  give(response(seen, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, a_multipart_that_cannot_be_taken_apart_carries_none_across) {
  sip::Message call = request("INVITE", "sip:carol@example.org");
  call.set_body(part(secret) + kEnd, "multipart/mixed");
  give(call, alice);
  EXPECT_EQ(last(alice, "INVITE", 400).reason(), "Malformed multipart body");
  std::string nested = part(secret) + kEnd;
  std::string inner = "b";
  for (const std::string next : {"c", "d", "e", "f", "g"}) {
    nested =
        "--" + next + "\r\nContent-Type: multipart/mixed;boundary=" + inner + "\r\n\r\n" + nested;
    inner = next;
  }
  call.set_body(nested, "multipart/mixed;boundary=" + inner);
  call.set(HeaderId::call_id, "another");
  call.set(HeaderId::via, "SIP/2.0/TLS alice.invalid;branch=z9hG4bKanother");
  give(call, alice);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  expect_nothing_left();
}

/// RFC 3261 §8.2.3, §20.12: a part has a Content-Encoding of its own.
TEST_F(SeveralDescriptions, a_compressed_part_is_refused_with_415) {
  const std::string gzip = "Content-Encoding: gzip\r\n";
  give(calling(part("\x1f\x8b...", gzip) + kEnd), alice);
  EXPECT_EQ(last(alice, "INVITE", 415).get("Accept-Encoding"), "identity");
  sip::Message whole = calling("\x1f\x8b...");  // who knows what is in it
  whole.add("Content-Encoding", "gzip");
  give(whole, alice);
  EXPECT_EQ(count(alice, "INVITE", 415), 2u);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  give(calling(part("\x1f\x8b...", gzip) + part(sdp()) + kEnd, "multipart/alternative"), alice);
  sip::Message seen = last(carol, "INVITE");
  EXPECT_NE(description_in(seen)->find("c=IN IP4 192.0.2.1"), std::string_view::npos);
  EXPECT_EQ(seen.body().find("gzip"), std::string_view::npos);
  give(response(seen, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(SeveralDescriptions, in_an_answer_they_end_the_call) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message answer = response(invite, 200, "c1");
  answer.set_body(part(sdp()) + part(secret) + kEnd, "multipart/mixed;boundary=b");
  give(answer, carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(count(carol, "ACK"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

struct AnswerLines : BridgeBench {
  const std::string video = "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
  const std::string audio_and_video = sdp(video);
  static std::string only_video() {
    return "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
           "m=video 52002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
  }
  sip::Message answered(const std::string& offer, const std::string& answer) {
    give(request("INVITE", "sip:carol@example.org", offer), alice);
    invite = last(carol, "INVITE");
    give(response(invite, 200, "c1", answer), carol);
    return last(alice, "INVITE", 200);
  }
  static std::vector<std::string> lines(const sip::Message& message) {
    std::vector<std::string> out;
    std::string_view body = message.body();
    for (std::size_t at = body.find("m="); at != std::string_view::npos;
         at = body.find("\nm=", at + 1)) {
      if (body[at] == '\n') ++at;
      out.emplace_back(body.substr(at, body.find('\r', at) - at));
    }
    return out;
  }
  std::size_t ends_to(int port) {
    std::size_t found = 0;
    for (auto& [id, end] : media.ends) found += end.remote.port == port ? 1 : 0;
    return found;
  }
};

TEST_F(AnswerLines, a_line_that_is_missing_at_the_end_counts_as_refused) {
  sip::Message ok = answered(audio_and_video, sdp({}, 52000));
  ASSERT_EQ(lines(ok).size(), 2u);
  EXPECT_EQ(lines(ok)[1], "m=video 0 RTP/AVP 96");
  EXPECT_EQ(media.ends.size(), 2u);
  EXPECT_EQ(ends_to(52000), 1u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(AnswerLines, a_line_that_is_missing_before_another_does_not_shift_it) {
  sip::Message ok = answered(audio_and_video, only_video());
  ASSERT_EQ(lines(ok).size(), 2u);
  EXPECT_EQ(lines(ok)[0], "m=audio 0 RTP/AVP 0");
  EXPECT_EQ(lines(ok)[1].substr(0, 8), "m=video ");
  EXPECT_NE(lines(ok)[1].substr(0, 10), "m=video 0 ");
  EXPECT_EQ(media.ends.size(), 2u);
  EXPECT_EQ(ends_to(52002), 1u);
  EXPECT_EQ(ends_to(40000), 0u);  // nobody takes alice's audio port for the picture
  close_session(1);
  expect_nothing_left();
}

TEST_F(AnswerLines, of_two_of_a_kind_the_protocol_tells_which_is_answered) {
  std::string offer = sdp("m=audio 40002 RTP/SAVP 0\r\n");
  std::string answer = sdp({}, 52000);
  answer.replace(answer.find("RTP/AVP"), 7, "RTP/SAVP");
  sip::Message ok = answered(offer, answer);
  ASSERT_EQ(lines(ok).size(), 2u);
  EXPECT_EQ(lines(ok)[0], "m=audio 0 RTP/AVP 0");
  EXPECT_NE(lines(ok)[1], "m=audio 0 RTP/SAVP 0");
  close_session(1);
  expect_nothing_left();
}

TEST_F(AnswerLines, lines_that_nobody_offered_are_cut) {
  sip::Message ok = answered(sdp(), sdp("m=video 52002 RTP/AVP 96\r\n", 52000));
  EXPECT_EQ(lines(ok).size(), 1u);
  EXPECT_EQ(media.ends.size(), 2u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(AnswerLines, other_media_than_were_offered_end_the_call) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", only_video()), carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(count(carol, "ACK"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(AnswerLines, a_reinvite_answered_with_other_media_fails_and_leaves_the_streams) {
  sip::Message ok = answered(sdp(), sdp({}, 52000));
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "INVITE", 2, audio_and_video), alice);
  std::string swapped = only_video() + "m=audio 52000 RTP/AVP 0\r\n";
  give(response(last(carol, "INVITE"), 200, "c1", swapped), carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
  EXPECT_EQ(media.ends.size(), 2u);
  EXPECT_EQ(ends_to(52000), 1u);
  // What is offered next is measured by itself.
  give(by_caller(ok, "INVITE", 3, sdp("a=sendonly\r\n")), alice);
  give(response(last(carol, "INVITE"), 200, "c1", sdp("a=recvonly\r\n", 52000)), carol);
  EXPECT_EQ(lines(last(alice, "INVITE", 200)).size(), 1u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(AnswerLines, an_answer_to_a_late_offer_with_other_media_ends_the_call) {
  give(request("INVITE", "sip:carol@example.org"), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1, only_video()), alice);
  EXPECT_EQ(last(carol, "ACK").body(), "");
  EXPECT_EQ(count(carol, "BYE"), 1u);
  EXPECT_EQ(count(alice, "BYE"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  give(response(last(alice, "BYE"), 200), alice);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
