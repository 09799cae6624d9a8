#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <set>

#include "net/asio_address.hpp"
#include "net/gateway_url.hpp"
#include "net/system_random.hpp"
#include "net/trust.hpp"

namespace isthmus::net {
namespace {

using boost::asio::ip::tcp;

TEST(AsioAddress, endpoints_survive_the_way_there_and_back) {
  for (const char* text : {"192.0.2.1:5060", "[2001:db8::1]:443", "0.0.0.0:0", "[::]:65535"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(from_asio(to_asio<tcp>(*endpoint)).to_string(), text);
  }
}

TEST(AsioAddress, a_mapped_address_of_a_dual_stack_socket_is_ipv4) {
  const auto mapped = boost::asio::ip::make_address("::ffff:192.0.2.7");
  EXPECT_EQ(from_asio(mapped).to_string(), "192.0.2.7");
}

TEST(SystemRandom, bytes_differ_from_call_to_call) {
  SystemRandom random;
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(random.token(16));
  EXPECT_EQ(tokens.size(), 100u);
}

TEST(GatewayUrl, defaults_are_port_443_and_the_links_path) {
  const auto url = parse_gateway_url("wss://gw.example.org");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "gw.example.org");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/isthmus/v1");
  EXPECT_EQ(url->authority(), "gw.example.org");
  EXPECT_EQ(parse_gateway_url("wss://gw.example.org/")->target, "/isthmus/v1");
}

TEST(GatewayUrl, port_path_query_and_ipv6_are_taken) {
  const auto url = parse_gateway_url("WSS://[2001:db8::5]:8443/voice/link?tenant=7");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "2001:db8::5");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/voice/link?tenant=7");
  EXPECT_EQ(url->authority(), "[2001:db8::5]:8443");
  EXPECT_EQ(url->to_string(), "wss://[2001:db8::5]:8443/voice/link?tenant=7");
}

TEST(GatewayUrl, the_scheme_says_which_links_are_tried) {
  EXPECT_EQ(parse_gateway_url("wss://gw")->kinds, LinkKinds::websocket);
  EXPECT_EQ(parse_gateway_url("UDP://gw")->kinds, LinkKinds::udp);
  const auto either = parse_gateway_url("isthmus://gw:8443");
  ASSERT_TRUE(either);
  EXPECT_EQ(either->kinds, LinkKinds::either);
  EXPECT_EQ(either->port, 8443);
  EXPECT_EQ(either->to_string(), "isthmus://gw:8443/isthmus/v1");
  EXPECT_EQ(parse_gateway_url("udp://gw:8443")->to_string(), "udp://gw:8443");
}

TEST(GatewayUrl, faults_are_named) {
  const std::pair<const char*, UrlError> cases[] = {
      {"https://gw.example.org", UrlError::not_wss},
      {"ws://gw.example.org", UrlError::not_wss},
      {"udp:gw.example.org", UrlError::not_wss},
      {"gw.example.org", UrlError::not_wss},
      {"", UrlError::not_wss},
      {"wss://", UrlError::bad_host},
      {"wss://user@gw.example.org", UrlError::bad_host},
      {"wss://gw example.org", UrlError::bad_host},
      {"wss://[2001:db8::5", UrlError::bad_host},
      {"wss://[192.0.2.1]", UrlError::bad_host},
      {"wss://gw:0", UrlError::bad_port},
      {"wss://gw:65536", UrlError::bad_port},
      {"wss://gw:", UrlError::bad_port},
      {"wss://gw:80x/", UrlError::bad_port},
      {"wss://gw/a b", UrlError::bad_path},
      {"wss://gw/a\r\nX: y", UrlError::bad_path},
      {"wss://gw/a#b", UrlError::bad_path},
  };
  for (const auto& [text, error] : cases) {
    const auto url = parse_gateway_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error(), error) << text;
  }
}

TEST(Pin, hexadecimal_and_base64_name_the_same_key) {
  // SHA-256 of nothing.
  const char* hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const char* base64 = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  ASSERT_TRUE(Pin::parse(hex));
  ASSERT_TRUE(Pin::parse(base64));
  EXPECT_EQ(Pin::parse(hex), Pin::parse(base64));
  EXPECT_EQ(Pin::parse(hex)->to_string(), base64);
  EXPECT_EQ(Pin::parse(std::string_view(base64).substr(8)), Pin::parse(hex));
  EXPECT_EQ(Pin::parse(std::string_view(base64).substr(8, 43)), Pin::parse(hex));
}

TEST(Pin, other_texts_are_refused) {
  for (const char* text :
       {"", "sha256//", "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu===",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",  // a bit beyond the key's
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8zz",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF!="}) {
    EXPECT_FALSE(Pin::parse(text)) << text;
  }
}

}  // namespace
}  // namespace isthmus::net
