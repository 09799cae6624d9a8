// The built-in registrar on virtual time, by section of the RFCs that rule it.
#include "provider/registrar.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Keeps what was put, as a database would.
struct MemoryStore final : RegistrarStore {
  std::map<std::string, std::vector<StoredContact>> users;
  int puts = 0;
  void put(const std::string& user, std::vector<StoredContact> contacts) override {
    ++puts;
    if (contacts.empty()) {
      users.erase(user);
    } else {
      users[user] = std::move(contacts);
    }
  }
  std::vector<StoredContact> all() const {
    std::vector<StoredContact> out;
    for (const auto& [user, contacts] : users)
      out.insert(out.end(), contacts.begin(), contacts.end());
    return out;
  }
};

struct BuiltIn : testing::Test {
  SeededRandom random{3};
  Registrar::Config config{"home.example"};
  std::unique_ptr<Registrar> owned = make();
  Registrar& registrar() { return *owned; }
  Instant now{std::chrono::hours(1)};
  unsigned cseq = 0;
  std::string call_id = "one", to = "<sip:alice@home.example>";
  std::uint64_t session = 1;
  Message last = Message::response(100);

  std::unique_ptr<Registrar> make() {
    return std::make_unique<Registrar>(
        config, [](const sip::Flow&, std::string_view user) { return user != "forbidden"; },
        random);
  }
  /// @return status of the answer, which is kept in `last`.
  int send_all(const std::vector<std::string>& contacts, const Headers& headers = {}) {
    Message request = Message::request("REGISTER", "sip:home.example");
    request.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
    request.add(HeaderId::from, "<sip:alice@home.example>;tag=1");
    request.add(HeaderId::to, to);
    request.add(HeaderId::call_id, call_id);
    request.add(HeaderId::cseq, std::to_string(++cseq) + " REGISTER");
    for (const std::string& contact : contacts) request.add(HeaderId::contact, contact);
    for (const auto& [name, value] : headers) request.add(name, value);
    last = registrar().on_register(request, sip::Flow::link(session), now);
    return last.status();
  }
  int send(const std::string& contact, const Headers& headers = {}) {
    return send_all({contact}, headers);
  }
  std::vector<std::string> uris() {
    std::vector<std::string> out;
    for (const Contact& contact : registrar().lookup("alice", now)) out.push_back(contact.uri);
    return out;
  }
  std::string header(const char* name) { return std::string(last.get(name).value_or("")); }
};

// RFC 3261 §10.3 ---------------------------------------------------------------------------------

TEST_F(BuiltIn, step_1_to_5_address_of_record) {
  struct Case {
    const char* to;
    int status;
  };
  for (const Case& c : {Case{"<sip:alice@home.example>", 200},
                        {"<sips:alice@HOME.example;x=y>", 200},
                        {"<sip:al%69ce@home.example>", 200},
                        {"<sip:alice@other.example>", 404},
                        {"<sip:home.example>", 400},
                        {"<tel:+4930123>", 400},
                        {"<sip:forbidden@home.example>", 403}}) {
    to = c.to;
    EXPECT_EQ(send("<sip:alice@a.invalid>"), c.status) << c.to;
  }
  EXPECT_EQ(registrar().contact_count(), 1u) << "three spellings of one address";
}

TEST_F(BuiltIn, step_2_all_unknown_extensions_are_named) {
  EXPECT_EQ(send("<sip:alice@a.invalid>", {{"Require", "path, gruu"}, {"Require", "frob"}}), 420);
  EXPECT_EQ(header("Unsupported"), "gruu, frob");
  EXPECT_EQ(send("<sip:alice@a.invalid>", {{"Require", "path, outbound"}}), 200);
}

TEST_F(BuiltIn, step_6_wildcard_removes_everything_but_only_alone_with_expires_0) {
  ASSERT_EQ(send_all({"<sip:alice@a.invalid>", "<sip:alice@b.invalid>"}), 200);
  EXPECT_EQ(send("*"), 400);
  EXPECT_EQ(send("*", {{"Expires", "60"}}), 400);
  EXPECT_EQ(send_all({"*", "<sip:alice@c.invalid>"}, {{"Expires", "0"}}), 400);
  EXPECT_EQ(registrar().contact_count(), 2u);
  EXPECT_EQ(send("*", {{"Expires", "0"}}), 200);
  EXPECT_EQ(registrar().contact_count(), 0u);
  EXPECT_THAT(last.values(HeaderId::contact), IsEmpty());
}

TEST_F(BuiltIn, step_6_a_wildcard_that_was_overtaken_removes_nothing) {
  cseq = 10;
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  call_id = "two";
  ASSERT_EQ(send("<sip:alice@b.invalid>"), 200);
  call_id = "one";
  cseq = 5;
  EXPECT_EQ(send("*", {{"Expires", "0"}}), 500);
  EXPECT_EQ(registrar().contact_count(), 2u) << "all or nothing: not the other device's either";
}

TEST_F(BuiltIn, step_7_expires_of_the_contact_then_of_the_header_then_the_default) {
  config.policy = {1000, 60, 5000};
  owned = make();
  struct Case {
    const char *contact, *expires, *granted;
  };
  for (const Case& c : {Case{";expires=700", "800", "700"},
                        {"", "800", "800"},
                        {"", nullptr, "1000"},
                        {";expires=soon", "800", "1000"},
                        {";expires=99999", nullptr, "5000"},
                        {";expires=4294967295", nullptr, "5000"}}) {
    Headers headers;
    if (c.expires) headers.emplace_back("Expires", c.expires);
    EXPECT_EQ(send("<sip:alice@a.invalid>" + std::string(c.contact), headers), 200);
    EXPECT_EQ(header("Contact"), "<sip:alice@a.invalid>;expires=" + std::string(c.granted));
  }
}

TEST_F(BuiltIn, step_7_too_brief_an_interval_is_423_and_changes_nothing) {
  EXPECT_EQ(send_all({"<sip:alice@a.invalid>", "<sip:alice@b.invalid>;expires=59"}), 423);
  EXPECT_EQ(header("Min-Expires"), "60");
  EXPECT_EQ(registrar().contact_count(), 0u);
  EXPECT_EQ(send("<sip:alice@a.invalid>;expires=60"), 200);
  config.policy = {7200, 7000, 7200};
  owned = make();
  EXPECT_EQ(send("<sip:alice@a.invalid>;expires=3599"), 423);
  EXPECT_EQ(send("<sip:alice@a.invalid>;expires=3600"), 200) << "an hour is never too brief";
}

TEST_F(BuiltIn, step_7_contacts_are_the_same_by_uri_comparison) {
  ASSERT_EQ(send("<sip:alice@a.invalid:5070;transport=udp>;q=0.2"), 200);
  ASSERT_EQ(send("<sip:alice@A.invalid:5070;transport=UDP;x=1>;q=0.4"), 200);
  EXPECT_EQ(registrar().contact_count(), 1u);
  EXPECT_EQ(registrar().all()[0].contact.q, 0.4);
  ASSERT_EQ(send("<sip:alice@a.invalid:5071;transport=udp>"), 200);
  EXPECT_EQ(registrar().contact_count(), 2u);
  ASSERT_EQ(send("<sip:alice@a.invalid:5070;transport=udp>;expires=0"), 200);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@a.invalid:5071;transport=udp"));
  EXPECT_EQ(send("<sip:alice@nowhere.invalid>;expires=0"), 200) << "nothing to remove is no error";
}

TEST_F(BuiltIn, step_7_a_request_that_was_overtaken_fails_whole) {
  cseq = 10;
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  cseq = 9;
  EXPECT_EQ(send_all({"<sip:alice@b.invalid>", "<sip:alice@a.invalid>;expires=0"}), 500);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@a.invalid"));
  cseq = 3;
  call_id = "after-a-restart";
  EXPECT_EQ(send("<sip:alice@a.invalid>"), 200) << "another Call-ID counts anew";
}

TEST_F(BuiltIn, step_8_answer_lists_every_contact_with_its_parameters_and_time_left) {
  ASSERT_EQ(send("\"Desk\" <sip:alice@a.invalid>;q=0.5;+audio;expires=600"), 200);
  now += seconds(100);
  ASSERT_EQ(send("<sip:alice@b.invalid>"), 200);
  EXPECT_THAT(last.values(HeaderId::contact),
              ElementsAre("<sip:alice@a.invalid>;q=0.5;+audio;expires=500",
                          "<sip:alice@b.invalid>;expires=3600"));
  EXPECT_FALSE(last.has(HeaderId::date)) << "no wall clock is known yet";
  registrar().set_wall_clock(WallSeconds(seconds(1289690940)), now);
  EXPECT_EQ(send_all({}), 200) << "a query";
  EXPECT_EQ(header("Date"), "Sat, 13 Nov 2010 23:29:00 GMT");
  EXPECT_EQ(last.values(HeaderId::contact).size(), 2u);
  registrar().session_closed(1);
  EXPECT_EQ(send_all({}), 200);
  EXPECT_EQ(last.values(HeaderId::contact).size(), 2u) << "registered, though not reached now";
}

TEST_F(BuiltIn, malformed_contacts_are_named_and_change_nothing) {
  struct Case {
    const char *contact, *reason;
  };
  for (const Case& c : {Case{"<sip:alice@b.invalid>;q=1.5", "q of a Contact"},
                        {"<sip:alice@b.invalid>;q=high", "q of a Contact"},
                        {"<mailto:alice@b.invalid>", "no SIP URI"},
                        {"<sip:alice@b.invalid>;+sip.instance=\"<urn:x>\";reg-id=0", "reg-id"},
                        {"<sip:alice@b.invalid>;+sip.instance=\"<urn:x>\";reg-id=-1", "reg-id"}}) {
    EXPECT_EQ(send_all({"<sip:alice@a.invalid>", c.contact}), 400) << c.contact;
    EXPECT_THAT(std::string(last.reason()), HasSubstr(c.reason));
  }
  EXPECT_EQ(send("<sip:alice@" + std::string(limits::kContactBytes, 'a') + ".invalid>"), 400);
  EXPECT_EQ(registrar().contact_count(), 0u);
}

TEST_F(BuiltIn, lookup_is_by_q_and_then_in_order_of_registration) {
  ASSERT_EQ(send_all({"<sip:alice@a.invalid>;q=0.1", "<sip:alice@b.invalid>;q=0.9",
                      "<sip:alice@c.invalid>", "<sip:alice@d.invalid>;q=0.9"}),
            200);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@c.invalid", "sip:alice@b.invalid",
                                  "sip:alice@d.invalid", "sip:alice@a.invalid"));
}

TEST_F(BuiltIn, contacts_expire_by_themselves) {
  ASSERT_EQ(send_all({"<sip:alice@a.invalid>;expires=60", "<sip:alice@b.invalid>;expires=61"}),
            200);
  now += seconds(60);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@b.invalid"));
  registrar().expire(now);
  EXPECT_EQ(registrar().contact_count(), 1u);
  now += seconds(1);
  registrar().expire(now);
  EXPECT_FALSE(registrar().knows("alice"));
}

// Bounds -----------------------------------------------------------------------------------------

TEST_F(BuiltIn, a_user_with_all_places_taken_can_still_refresh_and_remove) {
  for (std::size_t i = 0; i < limits::kContactsPerAor; ++i) {
    ASSERT_EQ(send("<sip:alice@h" + std::to_string(i) + ".invalid>"), 200);
  }
  EXPECT_EQ(send("<sip:alice@new.invalid>"), 403);
  EXPECT_EQ(send("<sip:alice@h3.invalid>"), 200);
  EXPECT_EQ(send("<sip:alice@h3.invalid>;expires=0"), 200);
  EXPECT_EQ(registrar().contact_count(), limits::kContactsPerAor - 1);
  EXPECT_EQ(send("<sip:alice@new.invalid>"), 200);
  EXPECT_EQ(registrar().contact_count(), limits::kContactsPerAor);
}

TEST_F(BuiltIn, refused_request_changes_nothing) {
  for (std::size_t i = 1; i < limits::kContactsPerAor; ++i) {
    ASSERT_EQ(send("<sip:alice@h" + std::to_string(i) + ".invalid>"), 200);
  }
  // One place is left, two are asked for (RFC 3261 §10.3: all or nothing).
  EXPECT_EQ(send_all({"<sip:alice@x.invalid>", "<sip:alice@y.invalid>"}), 403);
  EXPECT_EQ(registrar().contact_count(), limits::kContactsPerAor - 1);
}

TEST_F(BuiltIn, one_link_may_hold_so_many_contacts_and_gets_places_back) {
  config.max_contacts_per_flow = 20;
  owned = make();
  for (int i = 0; i < 20; ++i) {
    to = "<sip:u" + std::to_string(i) + "@home.example>";
    ASSERT_EQ(send("<sip:u@a.invalid>"), 200);
  }
  to = "<sip:one-more@home.example>";
  EXPECT_EQ(send("<sip:u@a.invalid>"), 503);
  EXPECT_EQ(header("Retry-After"), "60");
  session = 2;
  EXPECT_EQ(send("<sip:u@a.invalid>"), 200);
  to = "<sip:u3@home.example>";
  session = 1;
  EXPECT_EQ(send("<sip:u@a.invalid>"), 200) << "a refresh";
  EXPECT_EQ(send("<sip:u@a.invalid>;expires=0"), 200);
  to = "<sip:another@home.example>";
  EXPECT_EQ(send("<sip:u@a.invalid>"), 200);
}

// RFC 3327: Path
// -----------------------------------------------------------------------------------

TEST_F(BuiltIn, path_is_stored_and_returned_to_those_who_know_it) {
  Headers path{{"Path", "<sip:p1.example;lr>,<sip:p2.example;lr>"}};
  ASSERT_EQ(send("<sip:alice@a.invalid>", path), 200);
  EXPECT_EQ(header("Path"), "");
  EXPECT_THAT(registrar().lookup("alice", now)[0].path,
              ElementsAre("<sip:p1.example;lr>", "<sip:p2.example;lr>"));
  path.emplace_back("Supported", "path");
  ASSERT_EQ(send("<sip:alice@a.invalid>", path), 200);
  EXPECT_EQ(header("Path"), "<sip:p1.example;lr>, <sip:p2.example;lr>");
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  EXPECT_THAT(registrar().lookup("alice", now)[0].path, IsEmpty()) << "of the last REGISTER";
}

TEST_F(BuiltIn, path_policy_says_who_is_refused) {
  Headers path{{"Path", "<sip:p1.example;lr>"}};
  config.policy.path = PathPolicy::strict;
  owned = make();
  EXPECT_EQ(send("<sip:alice@a.invalid>", path), 421);
  EXPECT_EQ(header("Require"), "path");
  EXPECT_EQ(send("<sip:alice@a.invalid>"), 200) << "without a Path there is nothing to know";
  path.emplace_back("Supported", "gruu, path");
  EXPECT_EQ(send("<sip:alice@a.invalid>", path), 200);
  config.policy.path = PathPolicy::off;
  owned = make();
  EXPECT_EQ(send("<sip:alice@a.invalid>", path), 200);
  EXPECT_EQ(header("Path"), "");
  EXPECT_THAT(registrar().lookup("alice", now)[0].path, IsEmpty());
  path.emplace_back("Require", "path");
  EXPECT_EQ(send("<sip:alice@a.invalid>", path), 420);
  EXPECT_EQ(header("Unsupported"), "path");
}

TEST_F(BuiltIn, bad_and_endless_paths_are_refused) {
  EXPECT_EQ(send("<sip:alice@a.invalid>", {{"Path", "<tel:+4930>"}}), 400);
  std::string longest = "<sip:p.example;lr>", list = longest;
  for (std::size_t i = 0; i < limits::kPathPerContact; ++i) list += "," + longest;
  EXPECT_EQ(send("<sip:alice@a.invalid>", {{"Path", list}}), 400);
  EXPECT_EQ(registrar().contact_count(), 0u);
}

// RFC 3608, RFC 5626
// -------------------------------------------------------------------------------

TEST_F(BuiltIn, service_route_is_in_every_200_and_in_nothing_else) {
  config.service_route = {"<sip:edge.home.example;lr>", "<sip:core.home.example;lr>"};
  owned = make();
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  EXPECT_THAT(last.values(HeaderId::service_route),
              ElementsAre("<sip:edge.home.example;lr>", "<sip:core.home.example;lr>"));
  ASSERT_EQ(send("<sip:alice@a.invalid>;expires=5"), 423);
  EXPECT_FALSE(last.has(HeaderId::service_route));
}

constexpr const char* kInstance =
    ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"";

TEST_F(BuiltIn, outbound_same_instance_and_reg_id_replace_whatever_the_uri) {
  config.flow_timer_s = 120;
  owned = make();
  Headers supported{{"Supported", "path, outbound"}};
  ASSERT_EQ(send("<sip:alice@a.invalid>;reg-id=1" + std::string(kInstance), supported), 200);
  EXPECT_EQ(header("Require"), "outbound");
  EXPECT_EQ(header("Flow-Timer"), "120");
  ASSERT_EQ(send("<sip:alice@b.invalid>;reg-id=1" + std::string(kInstance), supported), 200);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@b.invalid"));
  ASSERT_EQ(send("<sip:alice@b.invalid>;reg-id=2" + std::string(kInstance), supported), 200);
  EXPECT_EQ(registrar().contact_count(), 2u) << "the same URI on another flow";
  EXPECT_THAT(std::string(last.values(HeaderId::contact)[1]), HasSubstr("reg-id=2"));
  ASSERT_EQ(send("<sip:alice@b.invalid>;expires=0;reg-id=1" + std::string(kInstance), supported),
            200);
  ASSERT_EQ(registrar().contact_count(), 1u);
  EXPECT_EQ(registrar().all()[0].contact.reg_id, 2u);
}

TEST_F(BuiltIn, outbound_is_not_claimed_where_it_was_not_asked_for) {
  ASSERT_EQ(send("<sip:alice@a.invalid>;reg-id=1" + std::string(kInstance)), 200);
  EXPECT_FALSE(last.has(HeaderId::require)) << "the device does not say that it supports it";
  ASSERT_EQ(send("<sip:alice@a.invalid>", {{"Supported", "outbound"}}), 200);
  EXPECT_FALSE(last.has(HeaderId::require));
  ASSERT_EQ(send("<sip:alice@c.invalid>;reg-id=4", {{"Supported", "outbound"}}), 200);
  EXPECT_FALSE(last.has(HeaderId::require)) << "reg-id without an instance counts for nothing";
}

TEST_F(BuiltIn, outbound_needs_a_first_hop_that_keeps_flows) {
  std::string contact = "<sip:alice@a.invalid>;reg-id=1" + std::string(kInstance);
  Headers through{{"Via", "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK2"}, {"Supported", "path,outbound"}};
  EXPECT_EQ(send(contact, through), 439);
  through.emplace_back("Path", "<sip:edge.example;lr>");
  EXPECT_EQ(send(contact, through), 439);
  through.back().second = "<sip:core.example;lr>, <sip:flow7@edge.example;lr;ob>";
  EXPECT_EQ(send(contact, through), 200);
  EXPECT_EQ(header("Require"), "outbound");
  EXPECT_EQ(registrar().all()[0].contact.reg_id, 1u);
  // One who does not insist is registered as if there were no reg-id.
  ASSERT_EQ(send("*", {{"Expires", "0"}}), 200);
  EXPECT_EQ(send(contact, {{"Via", "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK2"}}), 200);
  EXPECT_EQ(registrar().all()[0].contact.reg_id, 0u);
}

TEST_F(BuiltIn, outbound_request_registers_one_contact_only) {
  std::string contact = "<sip:alice@a.invalid>;reg-id=1" + std::string(kInstance);
  EXPECT_EQ(send_all({contact, "<sip:alice@b.invalid>"}), 400);
  EXPECT_EQ(send_all({contact, "<sip:alice@b.invalid>;expires=0"}), 200);
}

TEST_F(BuiltIn, flows_of_one_instance_are_one_device_the_latest_first) {
  auto flow = [&](int reg_id, const char* instance) {
    return "<sip:alice@f" + std::to_string(reg_id) + ".invalid>;reg-id=" + std::to_string(reg_id) +
           ";+sip.instance=\"<urn:" + instance + ">\"";
  };
  ASSERT_EQ(send(flow(1, "a")), 200);
  session = 2;
  now += seconds(1);
  ASSERT_EQ(send(flow(2, "a")), 200);
  ASSERT_EQ(send(flow(3, "b") + ";q=0.3"), 200);
  ASSERT_EQ(send("<sip:alice@plain.invalid>;q=0.5"), 200);
  std::vector<std::vector<Contact>> devices = registrar().devices("alice", now);
  ASSERT_EQ(devices.size(), 3u);
  ASSERT_EQ(devices[0].size(), 2u);
  EXPECT_EQ(devices[0][0].uri, "sip:alice@f2.invalid");
  EXPECT_EQ(devices[0][1].uri, "sip:alice@f1.invalid");
  EXPECT_EQ(devices[1][0].uri, "sip:alice@plain.invalid");
  EXPECT_EQ(devices[2][0].uri, "sip:alice@f3.invalid");
  registrar().session_closed(2);
  devices = registrar().devices("alice", now);
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices[0][0].uri, "sip:alice@f1.invalid") << "the flow that is left";
}

// What survives
// ------------------------------------------------------------------------------------

TEST_F(BuiltIn, contacts_survive_a_restart_and_are_reached_when_the_device_is_back) {
  MemoryStore store;
  registrar().set_store(&store);
  registrar().set_wall_clock(WallSeconds(seconds(1'000'000)), now);
  Headers headers{{"Path", "<sip:p1.example;lr>, <sip:p2.example;lr>"}, {"User-Agent", "desk/1"}};
  cseq = 40;
  ASSERT_EQ(send("<sip:alice@x7.invalid>;q=0.7;reg-id=2" + std::string(kInstance), headers), 200);
  ASSERT_EQ(send("<sip:alice@gone.invalid>;expires=60"), 200);
  std::vector<StoredContact> kept = store.all();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].expires_unix_s, 1'003'600);

  // Another process, 100 seconds later, whose monotonic clock is another one, too.
  owned = make();
  now = Instant(std::chrono::minutes(3));
  registrar().set_wall_clock(WallSeconds(seconds(1'000'100)), now);
  EXPECT_EQ(registrar().restore(kept, now), 1u) << "one of them has expired";
  EXPECT_TRUE(registrar().knows("alice"));
  EXPECT_THAT(uris(), IsEmpty()) << "its link is not back yet";
  std::vector<std::string> available;
  registrar().on_available = [&](std::string_view user) { available.emplace_back(user); };
  registrar().reattach("someone-else.invalid", sip::Flow::link(9));
  EXPECT_THAT(available, IsEmpty());
  registrar().reattach("X7.invalid", sip::Flow::link(9));
  EXPECT_THAT(available, ElementsAre("alice"));
  std::vector<Contact> contacts = registrar().lookup("alice", now);
  ASSERT_EQ(contacts.size(), 1u);
  EXPECT_EQ(contacts[0].flow, sip::Flow::link(9));
  EXPECT_EQ(contacts[0].q, 0.7);
  EXPECT_EQ(contacts[0].reg_id, 2u);
  EXPECT_EQ(contacts[0].user_agent, "desk/1");
  EXPECT_THAT(contacts[0].path, ElementsAre("<sip:p1.example;lr>", "<sip:p2.example;lr>"));
  EXPECT_EQ(contacts[0].expires - now, seconds(3500));
  cseq = 20;
  EXPECT_EQ(send("<sip:alice@y8.invalid>;reg-id=2" + std::string(kInstance)), 500)
      << "the order of requests survives, too";
}

TEST_F(BuiltIn, a_wall_clock_that_went_back_keeps_nothing_longer_than_was_granted) {
  StoredContact kept;
  kept.user = "alice";
  kept.uri = "sip:alice@a.invalid";
  kept.expires_unix_s = 2'000'000'000;
  registrar().set_wall_clock(WallSeconds(seconds(1'000'000)), now);
  ASSERT_EQ(registrar().restore({kept}, now), 1u);
  EXPECT_EQ(registrar().all()[0].contact.expires - now, seconds(7200));
}

TEST_F(BuiltIn, store_hears_of_changes_only) {
  MemoryStore store;
  registrar().set_store(&store);
  ASSERT_EQ(send("<sip:alice@a.invalid>;expires=60"), 200);
  ASSERT_EQ(send_all({}), 200);
  ASSERT_EQ(send("<sip:alice@a.invalid>;expires=1"), 423);
  EXPECT_EQ(store.puts, 1);
  registrar().session_closed(1);
  EXPECT_EQ(store.puts, 1);
  now += seconds(60);
  registrar().expire(now);
  EXPECT_THAT(store.users, IsEmpty());
}

TEST_F(BuiltIn, a_lost_link_takes_its_own_contacts_along_and_no_others) {
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  session = 2;
  ASSERT_EQ(send("<sip:alice@b.invalid>"), 200);
  registrar().session_closed(1);
  EXPECT_THAT(uris(), ElementsAre("sip:alice@b.invalid"));
  registrar().reattach("a.invalid", sip::Flow::link(3));
  EXPECT_EQ(uris().size(), 2u);
  registrar().session_closed(1);
  EXPECT_EQ(uris().size(), 2u) << "it moved to another link meanwhile";
  registrar().session_closed(3);
  EXPECT_EQ(uris().size(), 1u);
}

TEST_F(BuiltIn, user_becomes_available_once_with_the_first_device) {
  int times = 0;
  registrar().on_available = [&](std::string_view) { ++times; };
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  ASSERT_EQ(send("<sip:alice@b.invalid>"), 200);
  ASSERT_EQ(send("<sip:alice@a.invalid>"), 200);
  EXPECT_EQ(times, 1);
}

}  // namespace
}  // namespace isthmus::provider
