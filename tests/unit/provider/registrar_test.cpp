#include "provider/registrar.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;

struct BuiltIn : testing::Test {
  SeededRandom random{3};
  Registrar registrar{
      {"home.example"}, [](const sip::Flow&, std::string_view) { return true; }, random};
  Instant now{std::chrono::hours(1)};
  unsigned cseq = 0;

  int register_with(const std::string& contact) {
    sip::Message request = sip::Message::request("REGISTER", "sip:home.example");
    request.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
    request.add(HeaderId::from, "<sip:alice@home.example>;tag=1");
    request.add(HeaderId::to, "<sip:alice@home.example>");
    request.add(HeaderId::call_id, "one");
    request.add(HeaderId::cseq, std::to_string(++cseq) + " REGISTER");
    request.add(HeaderId::contact, contact);
    return registrar.on_register(request, sip::Flow::link(1), now).status();
  }
};

TEST_F(BuiltIn, a_user_with_all_places_taken_can_still_refresh_and_remove) {
  for (std::size_t i = 0; i < limits::kContactsPerAor; ++i) {
    ASSERT_EQ(register_with("<sip:alice@h" + std::to_string(i) + ".invalid>"), 200);
  }
  EXPECT_EQ(register_with("<sip:alice@new.invalid>"), 403);
  EXPECT_EQ(register_with("<sip:alice@h3.invalid>"), 200);
  EXPECT_EQ(register_with("<sip:alice@h3.invalid>;expires=0"), 200);
  EXPECT_EQ(registrar.contact_count(), limits::kContactsPerAor - 1);
  EXPECT_EQ(register_with("<sip:alice@new.invalid>"), 200);
  EXPECT_EQ(registrar.contact_count(), limits::kContactsPerAor);
}

TEST_F(BuiltIn, refused_request_changes_nothing) {
  for (std::size_t i = 1; i < limits::kContactsPerAor; ++i) {
    ASSERT_EQ(register_with("<sip:alice@h" + std::to_string(i) + ".invalid>"), 200);
  }
  // One place is left, two are asked for (RFC 3261 §10.3: all or nothing).
  EXPECT_EQ(register_with("<sip:alice@x.invalid>, <sip:alice@y.invalid>"), 403);
  EXPECT_EQ(registrar.contact_count(), limits::kContactsPerAor - 1);
}

}  // namespace
}  // namespace isthmus::provider
