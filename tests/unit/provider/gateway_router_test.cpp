#include "provider/gateway_router.hpp"

#include <gtest/gtest.h>

namespace isthmus::provider {
namespace {

using sip::HeaderId;

struct FromLinks : testing::Test {
  call::BindingTable bindings{Bytes(32, 7)};
  GatewayRouter router{
      {"home.example", "echo", "tone", {}, {"gateway.invalid", "192.0.2.1:5060", "192.0.2.1"}},
      bindings};
  FromLinks() {
    router.add_session(1, {"alice", {"alice"}});
    router.set_providers({{"trunk", {"example.org"}, {*Endpoint::parse("198.51.100.1:5060")}, {}}});
  }
  /// Status of the rejection; 0: routed.
  int status(const std::string& from, const std::string& uri = "sip:echo@home.example") {
    sip::Message request = sip::Message::request("INVITE", uri);
    request.add(HeaderId::from, "<" + from + ">;tag=1");
    call::Route route = router.route(request, sip::Flow::link(1), {});
    auto* rejection = std::get_if<call::RouteRejection>(&route);
    return rejection ? rejection->status : 0;
  }
};

TEST_F(FromLinks, nobody_is_another_user_by_any_of_our_own_names) {
  EXPECT_EQ(status("sip:alice@home.example"), 0);
  EXPECT_EQ(status("sip:bob@home.example"), 403);
  EXPECT_EQ(status("sip:bob@HOME.example"), 403);
  EXPECT_EQ(status("sip:b%6fb@home.example"), 403);
  EXPECT_EQ(status("sip:bob@192.0.2.1"), 403);
  EXPECT_EQ(status("sip:bob@192.0.2.1:5060"), 403);
  EXPECT_EQ(status("sip:bob@gateway.invalid"), 403);
  EXPECT_EQ(status("sip:alice@192.0.2.1"), 0);
  EXPECT_EQ(status("sip:bob@example.org", "sip:carol@example.org"), 0);  // its registrar judges
}

/// A user of the database who never registered was told to be nobody.
TEST_F(FromLinks, user_of_the_directory_without_a_device_is_unavailable_and_a_stranger_unknown) {
  std::vector<std::string> asked;
  router.set_user_directory([&](const std::string& user) {
    asked.push_back(user);
    return user == "dora";
  });
  router.add_session(2, {"bob", {"bob"}});
  EXPECT_EQ(status("sip:alice@home.example", "sip:dora@home.example"), 480);
  EXPECT_EQ(status("sip:alice@home.example", "sip:nobody@home.example"), 404);
  EXPECT_EQ(status("sip:alice@home.example", "sip:bob@home.example"), 480);
  EXPECT_EQ(asked, (std::vector<std::string>{"dora", "nobody"}));  // bob was known without it
}

}  // namespace
}  // namespace isthmus::provider
