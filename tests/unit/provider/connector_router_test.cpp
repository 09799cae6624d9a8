#include "provider/connector_router.hpp"

#include <gtest/gtest.h>

namespace isthmus::provider {
namespace {

using call::RouteRejection;
using call::RouteTargets;

struct FromGateway : testing::Test {
  call::BindingTable bindings{Bytes(32, 7)};
  ConnectorRouter router{{"10.0.0.2:5060"}, bindings};
  Instant now{std::chrono::hours(1)};
  sip::Flow phone = connection(4);

  static sip::Flow connection(std::uint32_t number) {
    sip::Flow flow = sip::Flow::udp(*Endpoint::parse("10.0.0.11:40000"));
    flow.transport = sip::Transport::tcp;
    flow.connection = number;
    return flow;
  }
  std::string bind(const sip::Flow& flow, const std::string& contact = "sip:ann@10.0.0.11:40000") {
    std::string token = bindings.note("10.0.0.11", "sip:ann@h", contact, flow, now).token;
    bindings.confirm(token, now + seconds(600));
    return token;
  }
  call::Route call(const std::string& token) {
    return router.route(sip::Message::request("INVITE", "sip:" + token + "@connector.invalid"),
                        sip::Flow::link(1), now);
  }
};

TEST_F(FromGateway, a_closed_connection_is_430_until_the_phone_registers_on_another) {
  std::string token = bind(phone);
  ASSERT_TRUE(std::holds_alternative<RouteTargets>(call(token)));
  bindings.flow_closed(connection(5));
  EXPECT_TRUE(std::holds_alternative<RouteTargets>(call(token))) << "another phone's";
  bindings.flow_closed(phone);
  call::Route refused = call(token);
  ASSERT_TRUE(std::holds_alternative<RouteRejection>(refused));
  EXPECT_EQ(std::get<RouteRejection>(refused).status, 430);
  ASSERT_EQ(bind(connection(6)), token);
  call::Route again = call(token);
  ASSERT_TRUE(std::holds_alternative<RouteTargets>(again));
  EXPECT_EQ(std::get<RouteTargets>(again).targets.front().flow, connection(6));
}

TEST_F(FromGateway, a_phone_that_is_called_by_its_address_stays_reachable) {
  for (sip::Flow flow : {sip::Flow::udp(*Endpoint::parse("10.0.0.11:5060")), connection(0)}) {
    std::string token = bind(flow);
    bindings.flow_closed(flow);
    EXPECT_TRUE(std::holds_alternative<RouteTargets>(call(token)));
  }
}

TEST_F(FromGateway, a_phone_that_listens_is_called_there_when_its_connection_is_closed) {
  std::string token = bind(phone, "sip:ann@10.0.0.11:5070;transport=tcp");
  bindings.flow_closed(phone);
  EXPECT_TRUE(std::holds_alternative<RouteTargets>(call(token)));
  std::string elsewhere = bind(phone, "sip:ann@10.0.0.99:5070;transport=tcp");
  bindings.flow_closed(phone);
  EXPECT_TRUE(std::holds_alternative<RouteRejection>(call(elsewhere))) << "another host's address";
}

TEST_F(FromGateway, nobody_is_404) {
  call::Route refused = call("unknown");
  ASSERT_TRUE(std::holds_alternative<RouteRejection>(refused));
  EXPECT_EQ(std::get<RouteRejection>(refused).status, 404);
}

}  // namespace
}  // namespace isthmus::provider
