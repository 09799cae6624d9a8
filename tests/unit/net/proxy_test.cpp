// Which proxy leads to a gateway, and how it is asked.
#include "net/proxy.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace isthmus::net {
namespace {

TEST(ProxyUrl, says_host_port_and_who_asks) {
  const auto url = parse_proxy_url("http://al%69ce:p%40ss%3Aword@proxy.example:3128/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->authority(), "proxy.example:3128");
  EXPECT_EQ(url->user, "alice");
  EXPECT_EQ(url->password, "p@ss:word");
}

TEST(ProxyUrl, the_scheme_and_the_port_may_be_left_out) {
  EXPECT_EQ(parse_proxy_url("proxy.example:8888")->authority(), "proxy.example:8888");
  EXPECT_EQ(parse_proxy_url("http://192.0.2.1")->authority(), "192.0.2.1:80");
  EXPECT_EQ(parse_proxy_url("http://[2001:db8::1]")->authority(), "[2001:db8::1]:80");
  EXPECT_EQ(parse_proxy_url("HTTP://[2001:db8::1]:3128")->authority(), "[2001:db8::1]:3128");
}

TEST(ProxyUrl, faults_are_named) {
  EXPECT_EQ(parse_proxy_url("https://proxy.example").error(), ProxyUrlError::not_http);
  EXPECT_EQ(parse_proxy_url("socks5://proxy.example").error(), ProxyUrlError::not_http);
  EXPECT_EQ(parse_proxy_url("http://").error(), ProxyUrlError::bad_host);
  EXPECT_EQ(parse_proxy_url("http://two words").error(), ProxyUrlError::bad_host);
  EXPECT_EQ(parse_proxy_url("http://[::1").error(), ProxyUrlError::bad_host);
  EXPECT_EQ(parse_proxy_url("proxy:0").error(), ProxyUrlError::bad_port);
  EXPECT_EQ(parse_proxy_url("proxy:65536").error(), ProxyUrlError::bad_port);
  EXPECT_EQ(parse_proxy_url("http://proxy/path").error(), ProxyUrlError::bad_path);
  for (const char* user : {"%zz", "a%4", "%0d%0aHost: x", "a%3Ab", ""}) {
    EXPECT_EQ(parse_proxy_url("http://" + std::string(user) + ":x@proxy").error(),
              ProxyUrlError::bad_user)
        << user;
  }
}

TEST(ProxyExemption, covers_what_the_list_names) {
  struct Case {
    const char *list, *host;
    std::uint16_t port;
    bool exempt;
  };
  const Case cases[] = {
      {"", "gw.example", 443, false},
      {"*", "gw.example", 443, true},
      {"gw.example", "GW.example", 443, true},
      {"example", "gw.example", 443, true},
      {".example", "gw.example", 443, true},
      {"*.example", "gw.example", 443, true},
      {"ample", "gw.example", 443, false},
      {"gw.example.org", "gw.example", 443, false},
      {"other, gw.example", "gw.example", 443, true},
      {"other gw.example,", "gw.example", 443, true},
      {"gw.example:443", "gw.example", 443, true},
      {"gw.example:8443", "gw.example", 443, false},
      {"192.0.2.7", "192.0.2.7", 443, true},
      {"192.0.2.7:443", "192.0.2.7", 443, true},
      {"192.0.2.0/24", "192.0.2.7", 443, true},
      {"192.0.2.0/24", "192.0.3.7", 443, false},
      {"2.7", "192.0.2.7", 443, false},
      {"2001:db8::/32", "2001:db8::1", 443, true},
      {"2001:db8::1", "2001:db8::1", 443, true},
      {"[2001:db8::1]:443", "2001:db8::1", 443, true},
      {"[2001:db8::1]:80", "2001:db8::1", 443, false},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(is_exempt(each.list, each.host, each.port), each.exempt)
        << "\"" << each.list << "\" and " << each.host;
  }
}

/// The environment, put back afterwards.
class ProxyEnvironment : public ::testing::Test {
 protected:
  ProxyEnvironment() {
    for (const char* name : {"https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}) unsetenv(name);
  }
  ~ProxyEnvironment() override {
    for (const char* name : {"https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}) unsetenv(name);
  }
  static std::string toward(std::string_view wanted, std::string_view host) {
    const auto choice = ProxyChoice::make(wanted);
    if (!choice) return choice.error();
    const auto proxy = choice->toward(host, 443);
    return proxy ? proxy->authority() : "direct";
  }
};

TEST_F(ProxyEnvironment, decides_unless_something_is_asked_for) {
  EXPECT_EQ(toward("", "gw.example"), "direct");
  setenv("HTTPS_PROXY", "http://upper:1", 1);
  EXPECT_EQ(toward("", "gw.example"), "upper:1");
  setenv("https_proxy", "http://lower:2", 1);
  EXPECT_EQ(toward("", "gw.example"), "lower:2");
  setenv("NO_PROXY", "gw.example", 1);
  EXPECT_EQ(toward("", "gw.example"), "direct");
  EXPECT_EQ(toward("", "other.example"), "lower:2");
  EXPECT_EQ(toward("none", "other.example"), "direct");
  EXPECT_EQ(toward("asked:3", "gw.example"), "asked:3") << "no_proxy is the environment's";
}

TEST_F(ProxyEnvironment, a_fault_names_the_variable_and_not_the_password) {
  setenv("https_proxy", "socks5://me:secret@proxy", 1);
  const std::string fault = toward("", "gw.example");
  EXPECT_TRUE(fault.starts_with("https_proxy in the environment")) << fault;
  EXPECT_EQ(fault.find("secret"), std::string::npos);
}

TEST(ConnectRequest, has_the_target_and_basic_credentials) {
  // RFC 7617 §2's example of credentials.
  const ProxyUrl proxy{"proxy", 3128, "Aladdin", "open sesame"};
  EXPECT_EQ(connect_request(proxy, "gw.example:443", "phone/1"),
            "CONNECT gw.example:443 HTTP/1.1\r\nHost: gw.example:443\r\n"
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
            "User-Agent: phone/1\r\n\r\n");
  EXPECT_EQ(connect_request({"proxy", 80, "", ""}, "gw:443", "two\r\nlines"),
            "CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\n\r\n");
}

}  // namespace
}  // namespace isthmus::net
