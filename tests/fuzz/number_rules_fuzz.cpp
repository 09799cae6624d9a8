// What strangers may write into rules' matching: NAPTR substitutions from the DNS, numbers in URIs,
// and header values that policies edit. Time and memory are bounded by the engine; results are
// sound.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/limits.hpp"
#include "provider/enum_rewrite.hpp"
#include "provider/header_policy.hpp"
#include "provider/route_rules.hpp"

using namespace isthmus;
using namespace isthmus::provider;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void rewritten_uris_read_back(std::string_view text) {
  auto uri = sip::Uri::parse(text);
  if (!uri) return;
  std::string number = user_or_number(*uri);
  set_user_or_number(*uri, "+49" + number);
  auto again = sip::Uri::parse(uri->to_string());
  if (uri->is_sip()) require(static_cast<bool>(again));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string number = "+4930123456";

  dns::NaptrRecord record{1, 1, "u", "e2u+sip", std::string(text), ""};
  if (auto found = sip_uri_of_number(number, {record})) {
    auto uri = sip::Uri::parse(*found);
    require(uri && uri->is_sip());
  }
  dns::NaptrRecord service{1, 1, "u", std::string(text), "!^.*$!sip:a@b!", ""};
  sip_uri_of_number(number, {service});

  if (auto pattern = UserPattern::parse(text)) {
    require(text.size() <= limits::kPatternBytes);
    if (auto captures = pattern->match(number)) {
      require(captures->size() == pattern->groups() + 1);
      require((*captures)[0] == number);
    }
    pattern->match(text);
  }
  substitute(text, {number, "a", "b"});
  rewritten_uris_read_back(text);

  if (auto message = sip::Message::parse(std::string(text))) {
    HeaderPolicy policy;
    policy.apply_privacy = policy.assert_identity = policy.strip_diversion = true;
    HeaderParty from, to;
    to.provider = &policy;
    apply_header_policy(*message, &from, to);
    require(!message->has(sip::HeaderId::p_asserted_identity));  // of nobody known
    require(static_cast<bool>(sip::Message::parse(message->serialize())));
  }
  return 0;
}
