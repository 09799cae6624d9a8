// Who is believed: the matrix of trust options and certificates, on real handshakes.
#include "net/trust.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "unit/net/net_support.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;
using wire::CloseCode;

constexpr auto kDay = std::chrono::hours(24);

/// What the handshake with this trust ends in: empty when a link came.
std::string refusal(Loop& loop, const std::string& url, const TrustOptions& trust) {
  const auto outcome = dial(loop, url, trust);
  if (!outcome.error) return {};
  EXPECT_EQ(outcome.error->code, CloseCode::forbidden) << outcome.error->text;
  return outcome.error->text;
}

TEST(Trust, the_pinned_key_is_enough) {
  Loop loop;
  Server server(loop);
  EXPECT_EQ(refusal(loop, server.url(), {{}, {server.pin()}, false}), "");
  const std::string other = Pin{}.to_string();
  EXPECT_EQ(refusal(loop, server.url(), {{}, {other, server.pin()}, false}), "");
}

TEST(Trust, a_pin_does_not_ask_for_the_name) {
  Loop loop;
  link::ListenerOptions options;
  options.bind = *Endpoint::parse("127.0.0.2:0");
  Server server(loop, false, options);
  EXPECT_EQ(refusal(loop, server.url("127.0.0.2"), {{}, {server.pin()}, false}), "");
}

TEST(Trust, another_key_than_the_pinned_is_refused_with_the_one_presented) {
  Loop loop;
  Server server(loop);
  const std::string text = refusal(loop, server.url(), {{}, {Pin{}.to_string()}, false});
  EXPECT_THAT(text, HasSubstr(server.pin()));
  EXPECT_THAT(text, HasSubstr("not the pinned one"));
}

TEST(Trust, a_ca_file_vouches_for_names_and_addresses) {
  Loop loop;
  Server server(loop);
  const TrustOptions trust{server.directory.file("gateway-cert.pem"), {}, false};
  EXPECT_EQ(refusal(loop, server.url("127.0.0.1"), trust), "");
  EXPECT_EQ(refusal(loop, server.url("localhost"), trust), "");
}

TEST(Trust, a_certificate_for_other_names_is_refused_with_the_names_it_has) {
  Loop loop;
  link::ListenerOptions options;
  options.bind = *Endpoint::parse("127.0.0.2:0");
  Server server(loop, false, options);
  const TrustOptions trust{server.directory.file("gateway-cert.pem"), {}, false};
  const std::string text = refusal(loop, server.url("127.0.0.2"), trust);
  EXPECT_THAT(text, HasSubstr("localhost"));
  EXPECT_THAT(text, HasSubstr("127.0.0.1, ::1, not for 127.0.0.2"));
  EXPECT_THAT(text, HasSubstr(server.pin()));
}

TEST(Trust, an_unknown_issuer_is_refused_with_the_pin_to_use) {
  Loop loop;
  Server server(loop);
  TemporaryDirectory other;
  ASSERT_TRUE(link::load_or_make_self_signed(other.path(), {}, wall_now()));
  for (const TrustOptions& trust :
       {TrustOptions{}, TrustOptions{other.file("gateway-cert.pem"), {}, false}}) {
    const std::string text = refusal(loop, server.url(), trust);
    EXPECT_THAT(text, HasSubstr("unknown authority"));
    EXPECT_THAT(text, HasSubstr("trust it by its pin: " + server.pin()));
  }
}

TEST(Trust, an_expired_certificate_is_refused_with_its_date) {
  Loop loop;
  TemporaryDirectory directory;
  ASSERT_TRUE(link::load_or_make_self_signed(directory.path(), {}, wall_now() - 900 * kDay));
  link::ListenerOptions options;
  options.certificate.chain_file = directory.file("gateway-cert.pem");
  options.certificate.key_file = directory.file("gateway-key.pem");
  Server server(loop, false, options);
  EXPECT_EQ(server.listener->certificate().warnings.size(), 1u);
  const TrustOptions trust{directory.file("gateway-cert.pem"), {}, false};
  EXPECT_THAT(refusal(loop, server.url(), trust), HasSubstr("expired on 20"));
}

TEST(Trust, a_certificate_of_tomorrow_asks_about_the_clock) {
  Loop loop;
  TemporaryDirectory directory;
  ASSERT_TRUE(link::load_or_make_self_signed(directory.path(), {}, wall_now() + 10 * kDay));
  link::ListenerOptions options;
  options.certificate.chain_file = directory.file("gateway-cert.pem");
  options.certificate.key_file = directory.file("gateway-key.pem");
  Server server(loop, false, options);
  const TrustOptions trust{directory.file("gateway-cert.pem"), {}, false};
  EXPECT_THAT(refusal(loop, server.url(), trust), HasSubstr("clock"));
}

TEST(Trust, insecure_takes_anything) {
  Loop loop;
  Server server(loop);
  EXPECT_EQ(refusal(loop, server.url(), {{}, {}, true}), "");
}

TEST(Trust, options_that_cannot_be_read_are_named_before_anything_is_dialled) {
  const auto bad_pin = ClientTrust::make({{}, {"sha256//short"}, false});
  ASSERT_FALSE(bad_pin);
  EXPECT_EQ(bad_pin.error().kind, TrustErrorKind::bad_options);
  EXPECT_THAT(bad_pin.error().text, HasSubstr("sha256//short"));
  const auto no_file = ClientTrust::make({"/nonexistent/ca.pem", {}, false});
  ASSERT_FALSE(no_file);
  EXPECT_THAT(no_file.error().text, HasSubstr("/nonexistent/ca.pem"));
  TemporaryDirectory directory;
  std::ofstream(directory.file("ca.pem")) << "nothing";
  EXPECT_FALSE(ClientTrust::make({directory.file("ca.pem"), {}, false}));
}

}  // namespace
}  // namespace isthmus::net::test
