// Accounts and trunks at a provider: who may call as which, where their calls ring, and clients
// that register with us in the provider's place.
#include <gtest/gtest.h>

#include "provider/account_registrar.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;

const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kTrunk = *Endpoint::parse("198.51.100.9:5060");

struct Accounts : testing::Test {
  Instant now{std::chrono::hours(1)};
  SeededRandom random{31};
  call::BindingTable bindings{Bytes(32, 7)};
  UpstreamRegistrations accounts{random};
  GatewayRouter router{GatewayRouter::Config{"home.example", "echo", "tone", {}, {}}, bindings};
  Registrar registrar{
      Registrar::Config{"home.example"},
      [this](const sip::Flow& flow, std::string_view user) { return router.may_use(flow, user); },
      random};
  AccountRegistrar front{"home.example", registrar, accounts,
                         [this](std::string_view domain) {
                           const Provider* found = router.registering_provider(domain);
                           return found ? found->name : std::string();
                         },
                         random};
  const sip::Flow ann = sip::Flow::link(1), ben = sip::Flow::link(2);
  const sip::Flow carrier = sip::Flow::udp(kProvider), trunk = sip::Flow::udp(kTrunk);

  Accounts() {
    router.set_registrar(&registrar);
    router.set_accounts(&accounts);
    Provider first;
    first.name = "carrier";
    first.domains = {"carrier.example"};
    first.addresses = {kProvider};
    first.registers_itself = true;
    Provider second;
    second.name = "trunk";
    second.domains = {"trunk.example"};
    second.addresses = {kTrunk};
    second.registers_itself = true;
    second.inbound_user = InboundUser::to;
    router.set_providers({first, second});
    router.add_session(1, {"ann", {"ann"}});
    router.add_session(2, {"ben", {"ben"}});
    add("carrier", "1001", "ann", "tok-ann");
    add("carrier", "1002", "eve", "tok-eve");
    add("trunk", "pbx", "", "tok-trunk");
  }
  void add(const std::string& provider, const std::string& user, const std::string& aor,
           const std::string& contact) {
    UpstreamAccount account;
    account.provider = provider;
    account.domain = provider + ".example";
    account.user = user;
    account.auth_user = user + "-auth";
    account.password = "pw-" + user;
    account.contact_user = contact;
    account.aor = aor;
    accounts.add(account);
  }
  static sip::Message request(std::string_view method, std::string_view uri, std::string_view from,
                              std::string_view to = {}) {
    sip::Message out = sip::Message::request(method, uri);
    out.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
    out.add(HeaderId::from, "\"A\" <" + std::string(from) + ">;tag=1");
    out.add(HeaderId::to, "<" + std::string(to.empty() ? uri : to) + ">");
    out.add(HeaderId::call_id, "c1");
    out.add(HeaderId::cseq, "1 " + std::string(method));
    return out;
  }
  int status_of(const sip::Message& message, const sip::Flow& from) {
    call::Route route = router.route(message, from, now);
    auto* rejection = std::get_if<call::RouteRejection>(&route);
    return rejection ? rejection->status : 0;
  }
  sip::Message register_as(std::string_view aor, const sip::Flow& flow,
                           std::string_view contact = "<sip:ann@a.invalid>") {
    sip::Message message = request("REGISTER", "sip:carrier.example", aor, aor);
    message.add(HeaderId::contact, contact);
    call::Route route = router.route(message, flow, now);
    EXPECT_TRUE(std::holds_alternative<call::RouteToRegistrar>(route));
    return front.on_register(message, flow, now);
  }
};

TEST_F(Accounts, client_registers_with_us_by_the_providers_domain) {
  sip::Message ok = register_as("sip:1001@carrier.example", ann);
  EXPECT_EQ(ok.status(), 200);
  EXPECT_EQ(ok.to()->uri, "sip:1001@carrier.example");
  EXPECT_FALSE(ok.to_tag().empty());
  EXPECT_EQ(ok.from()->uri, "sip:1001@carrier.example");
  ASSERT_EQ(registrar.lookup("ann", now).size(), 1u);
}

TEST_F(Accounts, nobody_registers_as_another_ones_account) {
  EXPECT_EQ(status_of(request("REGISTER", "sip:carrier.example", "sip:1001@carrier.example"), ben),
            403);
  sip::Message message = request("REGISTER", "sip:carrier.example", "sip:ben@home.example",
                                 "sip:1001@carrier.example");
  message.add(HeaderId::contact, "<sip:ben@b.invalid>");
  EXPECT_EQ(front.on_register(message, ben, now).status(), 403);
  message.set(HeaderId::to, "<sip:7777@carrier.example>");
  EXPECT_EQ(front.on_register(message, ben, now).status(), 404);
}

TEST_F(Accounts, call_in_rings_on_the_devices_of_the_accounts_user) {
  EXPECT_EQ(register_as("sip:1001@carrier.example", ann).status(), 200);
  call::Route route = router.route(
      request("INVITE", "sip:tok-ann@192.0.2.1", "sip:x@carrier.example"), carrier, now);
  auto* targets = std::get_if<call::RouteTargets>(&route);
  ASSERT_TRUE(targets);
  ASSERT_EQ(targets->targets.size(), 1u);
  EXPECT_EQ(targets->targets[0].flow, ann);
  // The same token from elsewhere is no account.
  EXPECT_EQ(status_of(request("INVITE", "sip:tok-ann@192.0.2.1", "sip:x@trunk.example",
                              "sip:tok-trunk@trunk.example"),
                      trunk),
            404);
}

TEST_F(Accounts, trunk_finds_the_number_where_it_is_told_to) {
  register_as("sip:1001@carrier.example", ann);
  sip::Message invite =
      request("INVITE", "sip:tok-trunk@192.0.2.1", "sip:x@trunk.example", "sip:ann@trunk.example");
  EXPECT_EQ(status_of(invite, trunk), 0);
  invite.set(HeaderId::to, "<sip:tok-trunk@trunk.example>");  // says nothing
  invite.add("P-Called-Party-ID", "<sip:ann@trunk.example>");
  EXPECT_EQ(status_of(invite, trunk), 0);
}

TEST_F(Accounts, calls_go_out_by_the_callers_own_account_only) {
  auto call = [&](const char* from, const sip::Flow& flow) {
    return status_of(request("INVITE", "sip:555@carrier.example", from), flow);
  };
  EXPECT_EQ(call("sip:ann@home.example", ann), 0);
  EXPECT_EQ(call("sip:1001@carrier.example", ann), 0);
  EXPECT_EQ(call("sip:1002@carrier.example", ann), 403);
  EXPECT_EQ(call("sip:ben@home.example", ben), 403);  // has no account there
  // A name of another domain is not checked by us, so it must not earn credentials.
  EXPECT_EQ(call("sip:ann@elsewhere.example", ben), 403);
  // The trunk is for everybody.
  EXPECT_EQ(status_of(request("INVITE", "sip:555@trunk.example", "sip:ben@home.example"), ben), 0);
}

TEST_F(Accounts, from_and_credentials_are_the_accounts) {
  sip::Message invite = request("INVITE", "sip:555@carrier.example", "sip:ann@home.example");
  router.dress(invite, carrier, &ann);
  EXPECT_EQ(invite.get(HeaderId::from), "\"A\" <sip:1001@carrier.example>;tag=1");
  auto credentials = router.credentials_for(carrier, "sip:1001@carrier.example", &ann);
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->user, "1001-auth");
  EXPECT_EQ(credentials->password, "pw-1001");
  EXPECT_FALSE(router.credentials_for(carrier, "sip:nobody@carrier.example", nullptr));
  EXPECT_FALSE(router.credentials_for(ann, "sip:1001@carrier.example", &ann));
  EXPECT_FALSE(router.credentials_for(sip::Flow::udp(*Endpoint::parse("203.0.113.5:5060")),
                                      "sip:1001@carrier.example", &ann));
  EXPECT_EQ(router.credentials_for(trunk, "sip:anyone@x.example", nullptr)->user, "pbx-auth");
  sip::Message over_trunk = request("INVITE", "sip:555@trunk.example", "sip:ann@home.example");
  router.dress(over_trunk, trunk, &ann);
  EXPECT_EQ(over_trunk.from()->uri, "sip:ann@home.example");
}

/// A From that says nothing of who calls was a 403 at providers with accounts.
TEST_F(Accounts, anonymous_caller_goes_by_the_account_of_its_session) {
  const char* nobody = "sip:anonymous@anonymous.invalid";
  sip::Message invite = request("INVITE", "sip:555@carrier.example", nobody);
  EXPECT_EQ(status_of(invite, ann), 0);
  router.dress(invite, carrier, &ann);
  EXPECT_EQ(invite.from()->uri, nobody);
  auto credentials = router.credentials_for(carrier, nobody, &ann);
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->user, "1001-auth");
  EXPECT_FALSE(router.credentials_for(carrier, nobody, nullptr));
  // Who has no account earns none by hiding, and none by a name at a stranger's domain.
  EXPECT_EQ(status_of(invite, ben), 403);
  EXPECT_FALSE(router.credentials_for(carrier, nobody, &ben));
  EXPECT_FALSE(router.credentials_for(carrier, "sip:1001@elsewhere.example", &ben));
  EXPECT_EQ(router.credentials_for(carrier, "sip:1002@elsewhere.example", &ann)->user, "1001-auth");
}

TEST_F(Accounts, session_of_several_addresses_goes_by_the_first_that_has_an_account) {
  router.add_session(3, {"office", {"fax", "eve", "ann"}});
  const sip::Flow office = sip::Flow::link(3);
  EXPECT_EQ(router.credentials_for(carrier, "sip:anonymous@anonymous.invalid", &office)->user,
            "1002-auth");
  EXPECT_EQ(router.credentials_for(carrier, "sip:ann@home.example", &office)->user, "1001-auth");
  EXPECT_EQ(router.credentials_for(carrier, "sip:fax@home.example", &office)->user, "1002-auth");
}

TEST(InboundUserOf, each_place_and_what_stands_in_for_it) {
  sip::Message invite = sip::Message::request("INVITE", "sip:tok@192.0.2.1");
  invite.add(HeaderId::to, "<sip:%2B4930@trunk.example>");
  EXPECT_EQ(inbound_user(invite, InboundUser::request_uri, "tok"), "+4930");
  EXPECT_EQ(inbound_user(invite, InboundUser::p_called_party_id, "tok"), "+4930");
  invite.add("P-Called-Party-ID", "\"B\" <tel:+4931;phone-context=x>");
  EXPECT_EQ(inbound_user(invite, InboundUser::p_called_party_id, "tok"), "+4931");
  EXPECT_EQ(inbound_user(invite, InboundUser::to, "tok"), "+4930");
  EXPECT_EQ(inbound_user(invite, InboundUser::request_uri, "other"), "tok");
  sip::Message bare = sip::Message::request("INVITE", "sip:192.0.2.1");
  bare.add(HeaderId::to, "<<");
  EXPECT_EQ(inbound_user(bare, InboundUser::to, "tok"), "");
}

}  // namespace
}  // namespace isthmus::provider
