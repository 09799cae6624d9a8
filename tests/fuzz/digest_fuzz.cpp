// Challenges and credentials of any shape. What is read can be written and read again with the same
// meaning, and an answer to any challenge is one header field that a server reads back.
#include <cstdint>
#include <cstdlib>

#include "sip/digest.hpp"

using namespace isthmus;
using namespace isthmus::sip;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_challenge(std::string_view text) {
  auto first = DigestChallenge::parse(text);
  if (!first) return;
  auto second = DigestChallenge::parse(first->to_string());
  require(second && second->realm == first->realm && second->nonce == first->nonce);
  require(second->opaque == first->opaque && second->has_opaque == first->has_opaque);
  require(second->algorithm == first->algorithm && second->qop_auth == first->qop_auth);
  require(second->stale == first->stale);
}

void check_credentials(std::string_view text) {
  auto first = DigestCredentials::parse(text);
  if (!first) return;
  auto second = DigestCredentials::parse(first->to_string());
  require(second && second->username == first->username && second->uri == first->uri);
  require(second->response == first->response && second->opaque == first->opaque);
  require(second->cnonce == first->cnonce && second->qop_auth == first->qop_auth);
  require(!digest_response(first->algorithm, "ha1", "INVITE", *first).empty());
}

void check_answer(std::string_view text) {
  auto response =
      Message::parse("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: " + std::string(text) +
                     "\r\nCSeq: 1 REGISTER\r\nCall-ID: c\r\n\r\n");
  if (!response) return;
  Message request = Message::request("REGISTER", "sip:example.org");
  request.add(HeaderId::call_id, "c");
  SeededRandom random(1);
  DigestClient client("al\"ice", "secret", random);
  if (!client.authorize(request, *response)) return;
  auto wire = Message::parse(request.serialize());
  require(static_cast<bool>(wire));
  auto answers = wire->fields(HeaderId::authorization);
  require(!answers.empty());
  for (auto value : answers) {
    auto credentials = DigestCredentials::parse(value);
    require(credentials && credentials->username == "al\"ice");
    require(credentials->response == digest_response(credentials->algorithm,
                                                     digest_ha1(credentials->algorithm, "al\"ice",
                                                                credentials->realm, "secret"),
                                                     "REGISTER", *credentials));
  }
  require(!client.authorize(request, *response));  // the same nonce again: refused
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = as_text({data, size});
  check_challenge(text);
  check_credentials(text);
  check_answer(text);
  return 0;
}
