// Reliable provisional responses (RFC 3262) from a leg that loses nothing to one that may.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

/// Carol, on UDP, calls dave, whose link carries each response once.
struct ReliableProvisionals : BridgeBench {
  void call_dave() {
    sip::Message out = request("INVITE", "sip:dave@example.org", sdp());
    out.set(HeaderId::via, "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKcarol");
    out.set(HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
    out.add(HeaderId::supported, "100rel");
    give(out, carol);
    invite = last(dave, "INVITE");
  }
  void ring(unsigned rseq, std::string_view tag = "d1") {
    sip::Message ringing = response(invite, 180, tag);
    ringing.add(HeaderId::require, "100rel");
    ringing.add(HeaderId::rseq, std::to_string(rseq));
    give(ringing, dave);
  }
  void prack(unsigned cseq, unsigned rseq) {
    sip::Message out = by_caller(last(carol, "INVITE", 180), "PRACK", cseq);
    out.add(HeaderId::rack, std::to_string(rseq) + " 1 INVITE");
    give(out, carol);
    give(response(last(dave, "PRACK"), 200), dave);
  }
  std::size_t rings() const { return count(carol, "INVITE", 180); }
};

TEST_F(ReliableProvisionals, one_lost_toward_udp_is_repeated_until_its_prack) {
  call_dave();
  ring(1);
  EXPECT_EQ(rings(), 1u);
  pass(milliseconds(3600));  // 0.5, 1.5, 3.5 s
  EXPECT_EQ(rings(), 4u);
  prack(2, 1);
  pass(seconds(20));
  EXPECT_EQ(rings(), 4u);
  give(response(invite, 486, "d1"), dave);
  expect_nothing_left();
}

TEST_F(ReliableProvisionals, a_prack_for_another_one_stops_nothing) {
  call_dave();
  ring(1);
  ring(2);
  prack(2, 2);
  std::size_t before = rings();
  pass(milliseconds(600));
  EXPECT_EQ(rings(), before + 1);
  EXPECT_EQ(last(carol, "INVITE", 180).get(HeaderId::rseq), "1");
  give(response(invite, 486, "d1"), dave);
  expect_nothing_left();
}

TEST_F(ReliableProvisionals, the_final_response_ends_the_repetitions) {
  call_dave();
  ring(1);
  give(response(invite, 200, "d1", sdp()), dave);
  std::size_t before = rings();
  pass(seconds(10));
  EXPECT_EQ(rings(), before);
  close_session(2);
  expect_nothing_left();
}

TEST_F(ReliableProvisionals, they_are_repeated_no_longer_than_the_sender_waits) {
  call_dave();
  ring(1);
  pass(seconds(33));
  std::size_t after = rings();
  EXPECT_EQ(after, 7u);  // and at 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s
  pass(seconds(100));
  EXPECT_EQ(rings(), after);
  give(response(invite, 504, "d1"), dave);
  expect_nothing_left();
}

TEST_F(ReliableProvisionals, toward_a_link_nothing_is_repeated) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message ringing = response(invite, 180, "c1");
  ringing.add(HeaderId::require, "100rel");
  ringing.add(HeaderId::rseq, "5");
  give(ringing, carol);
  give(ringing, carol);
  pass(seconds(10));
  EXPECT_EQ(count(alice, "INVITE", 180), 1u);
  give(response(invite, 486, "c1"), carol);
  expect_nothing_left();
}

/// The other way round: carol's network reorders, alice's link does not.
struct ReorderedProvisionals : BridgeBench {
  sip::Message ringing(unsigned rseq) {
    sip::Message out = response(invite, 180, "c1");
    out.add(HeaderId::require, "100rel");
    out.add(HeaderId::rseq, std::to_string(rseq));
    return out;
  }
  std::vector<std::string> heard() {
    std::vector<std::string> out;
    for (const Sent& entry : sent) {
      if (entry.flow == alice && entry.message.status() == 180)
        out.emplace_back(*entry.message.get(HeaderId::rseq));
    }
    return out;
  }
  void prack(unsigned cseq, unsigned rseq) {
    sip::Message out = by_caller(last(alice, "INVITE", 180), "PRACK", cseq);
    out.add(HeaderId::rack, std::to_string(rseq) + " 1 INVITE");
    give(out, alice);
    give(response(last(carol, "PRACK"), 200), carol);
  }
};

TEST_F(ReorderedProvisionals, one_that_overtakes_another_waits_for_it) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(ringing(7), carol);
  prack(2, 7);
  give(ringing(9), carol);  // before 8
  EXPECT_EQ(heard(), (std::vector<std::string>{"7"}));
  give(ringing(8), carol);
  prack(3, 8);
  give(ringing(9), carol);  // repeated, as nobody acknowledged it
  EXPECT_EQ(heard(), (std::vector<std::string>{"7", "8", "9"}));
  prack(4, 9);
  EXPECT_EQ(last(carol, "PRACK").get(HeaderId::rack), "9 1 INVITE");
  give(response(invite, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(ReorderedProvisionals, a_late_repetition_of_an_older_one_disturbs_nothing) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(ringing(7), carol);
  prack(2, 7);
  give(ringing(8), carol);
  give(ringing(7), carol);  // a copy that was long on its way
  prack(3, 8);
  give(ringing(7), carol);
  give(ringing(9), carol);
  EXPECT_EQ(heard(), (std::vector<std::string>{"7", "8", "9"}));
  EXPECT_EQ(count(carol, "PRACK"), 2u);
  prack(4, 9);
  give(response(invite, 486, "c1"), carol);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
