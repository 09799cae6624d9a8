#include "link/certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "unit/net/net_support.hpp"

namespace isthmus::link {
namespace {

using isthmus::test::TemporaryDirectory;
using net::wall_now;
using testing::HasSubstr;

constexpr auto kDay = std::chrono::hours(24);

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

unsigned mode_of(const std::string& path) {
  struct ::stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777u : 0u;
}

TEST(SelfSignedCertificate, the_first_start_makes_one_that_only_its_owner_can_read) {
  TemporaryDirectory directory;
  const std::string state = directory.file("state");
  const auto made = load_or_make_self_signed(state, {"voice.example.org", "192.0.2.9"}, wall_now());
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(made->self_signed);
  EXPECT_TRUE(made->made_now);
  EXPECT_TRUE(made->warnings.empty());
  EXPECT_EQ(made->pin.substr(0, 8), "sha256//");
  EXPECT_EQ(mode_of(state), 0700u);
  EXPECT_EQ(mode_of(state + "/gateway-key.pem"), 0600u);
  X509* certificate = made->chain.front().get();
  for (const char* name : {"voice.example.org", "localhost"}) {
    EXPECT_EQ(X509_check_host(certificate, name, 0, 0, nullptr), 1) << name;
  }
  for (const char* address : {"192.0.2.9", "127.0.0.1", "::1"}) {
    EXPECT_EQ(X509_check_ip_asc(certificate, address, 0), 1) << address;
  }
  EXPECT_EQ(X509_check_host(certificate, "other.example.org", 0, 0, nullptr), 0);
  EXPECT_GT(made->not_after, wall_now() + 820 * kDay);
  EXPECT_LE(made->not_after, wall_now() + 825 * kDay);
}

TEST(SelfSignedCertificate, the_second_start_uses_the_same) {
  TemporaryDirectory directory;
  const auto first = load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_TRUE(first);
  const std::string chain = content(directory.file("gateway-cert.pem"));
  const auto second = load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->made_now);
  EXPECT_TRUE(second->self_signed);
  EXPECT_EQ(second->pin, first->pin);
  EXPECT_EQ(content(directory.file("gateway-cert.pem")), chain);
}

TEST(SelfSignedCertificate, renewal_keeps_the_key_and_so_the_clients_pins) {
  TemporaryDirectory directory;
  const auto old = load_or_make_self_signed(directory.path(), {}, wall_now() - 810 * kDay);
  ASSERT_TRUE(old);
  const auto renewed = load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_TRUE(renewed);
  EXPECT_TRUE(renewed->made_now);
  EXPECT_EQ(renewed->pin, old->pin);
  EXPECT_GT(renewed->not_after, wall_now() + 800 * kDay);
}

TEST(SelfSignedCertificate, a_new_name_in_the_configuration_gets_into_it) {
  TemporaryDirectory directory;
  const auto old = load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_TRUE(old);
  const auto changed = load_or_make_self_signed(directory.path(), {"new.example.org"}, wall_now());
  ASSERT_TRUE(changed);
  EXPECT_TRUE(changed->made_now);
  EXPECT_EQ(changed->pin, old->pin);
  EXPECT_EQ(X509_check_host(changed->chain.front().get(), "new.example.org", 0, 0, nullptr), 1);
}

TEST(SelfSignedCertificate, a_broken_key_file_is_named_and_not_overwritten) {
  TemporaryDirectory directory;
  write(directory.file("gateway-key.pem"), "not a key");
  const auto made = load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text, HasSubstr("gateway-key.pem"));
  EXPECT_EQ(content(directory.file("gateway-key.pem")), "not a key");
}

TEST(SelfSignedCertificate, names_that_would_smuggle_in_other_fields_are_refused) {
  TemporaryDirectory directory;
  for (const char* name : {"a,DNS:b", "", "a b", "a\n"}) {
    const auto made = load_or_make_self_signed(directory.path(), {name}, wall_now());
    EXPECT_FALSE(made) << name;
  }
}

TEST(Certificate, an_unwritable_directory_is_named) {
  const auto made = load_or_make_self_signed("/proc/isthmus", {}, wall_now());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text, HasSubstr("/proc/isthmus"));
}

TEST(Certificate, faults_of_files_are_told_apart) {
  TemporaryDirectory directory, other;
  ASSERT_TRUE(load_or_make_self_signed(directory.path(), {}, wall_now()));
  ASSERT_TRUE(load_or_make_self_signed(other.path(), {}, wall_now()));
  const std::string chain = directory.file("gateway-cert.pem");
  const std::string key = directory.file("gateway-key.pem");
  write(directory.file("empty.pem"), "");
  write(directory.file("broken.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const auto error_of = [&](const std::string& c, const std::string& k) {
    const auto loaded = load_certificate(c, k, wall_now());
    return loaded ? std::string("no error") : loaded.error().text;
  };
  EXPECT_EQ(error_of(chain, key), "no error");
  EXPECT_THAT(error_of(directory.file("missing.pem"), key), HasSubstr("No such file"));
  EXPECT_THAT(error_of(chain, directory.file("missing.key")), HasSubstr("missing.key"));
  EXPECT_THAT(error_of(directory.file("empty.pem"), key), HasSubstr("holds no certificate"));
  EXPECT_THAT(error_of(directory.file("broken.pem"), key), HasSubstr("certificate 1 of"));
  EXPECT_THAT(error_of(chain, chain), HasSubstr("holds no private key"));
  EXPECT_THAT(error_of(chain, other.file("gateway-key.pem")), HasSubstr("does not belong"));
}

TEST(Certificate, an_expired_one_loads_with_a_warning) {
  TemporaryDirectory directory;
  ASSERT_TRUE(load_or_make_self_signed(directory.path(), {}, wall_now() - 900 * kDay));
  const auto loaded = load_certificate(directory.file("gateway-cert.pem"),
                                       directory.file("gateway-key.pem"), wall_now());
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_THAT(loaded->warnings.front(), HasSubstr("expired on"));
}

TEST(Certificate, a_key_that_everybody_can_read_is_a_warning) {
  TemporaryDirectory directory;
  ASSERT_TRUE(load_or_make_self_signed(directory.path(), {}, wall_now()));
  ASSERT_EQ(::chmod(directory.file("gateway-key.pem").c_str(), 0644), 0);
  const auto loaded = load_certificate(directory.file("gateway-cert.pem"),
                                       directory.file("gateway-key.pem"), wall_now());
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_THAT(loaded->warnings.front(), HasSubstr("can read the key"));
}

TEST(Certificate, half_a_configuration_is_an_error) {
  const auto half = get_certificate({"chain.pem", "", "", {}}, wall_now());
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().text, HasSubstr("chain.pem"));
  EXPECT_FALSE(get_certificate({}, wall_now()));
}

}  // namespace
}  // namespace isthmus::link
