#include "transport/fault_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const sip::Fault kFault{sip::FaultCode::missing_header, sip::HeaderId::call_id, 0};
const Endpoint kSource = *Endpoint::parse("192.0.2.1:40000");

TEST(FaultAnswer, copies_every_via_in_order_and_marks_only_the_top_one) {
  const auto answer = fault_answer(
      "INVITE sip:x SIP/2.0\r\nv: SIP/2.0/UDP a.example;branch=1 , SIP/2.0/UDP "
      "b.example;branch=2\r\n"
      "Via: SIP/2.0/UDP c.example;branch=3\r\nCSeq: 4\r\n INVITE\r\n\r\n",
      kFault, kSource);
  ASSERT_TRUE(answer);
  EXPECT_EQ(
      "SIP/2.0 400 Missing Call-ID\r\n"
      "Via: SIP/2.0/UDP a.example;branch=1;received=192.0.2.1, SIP/2.0/UDP b.example;branch=2\r\n"
      "Via: SIP/2.0/UDP c.example;branch=3\r\n"
      "CSeq: 4 INVITE\r\n"
      "Content-Length: 0\r\n\r\n",
      *answer);
}

TEST(FaultAnswer, retransmission_gets_the_same_tag_and_another_request_another) {
  const std::string request =
      "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1\r\nTo: <sip:x>\r\n\r\n";
  std::string other = request;
  other[other.find("branch=1") + 7] = '2';
  EXPECT_EQ(fault_answer(request, kFault, kSource), fault_answer(request, kFault, kSource));
  const auto tag = [](const std::string& text) { return text.substr(text.find(";tag=")); };
  EXPECT_NE(tag(*fault_answer(request, kFault, kSource)),
            tag(*fault_answer(other, kFault, kSource)));
}

TEST(FaultAnswer, a_request_line_with_a_bad_method_or_tabs_is_answered) {
  for (const char* line :
       {"OPT/IONS sip:x SIP/2.0", "BYE\tsip:x\tSIP/2.0", "(BYE) sip:x SIP/2.0"}) {
    const auto answer =
        fault_answer(std::string(line) + "\r\nVia: SIP/2.0/UDP a\r\n\r\n", kFault, kSource);
    EXPECT_THAT(answer.value_or(""), StartsWith("SIP/2.0 400 ")) << line;
  }
  for (const char* line : {"SIP/2.0 999999 No SIP/2.0", "ACK\tsip:x\tSIP/2.0", "GET / HTTP/1.1"}) {
    EXPECT_FALSE(
        fault_answer(std::string(line) + "\r\nVia: SIP/2.0/UDP a\r\n\r\n", kFault, kSource))
        << line;
  }
}

TEST(FaultAnswer, keeps_a_to_tag_that_is_there) {
  const auto answer = fault_answer(
      "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:x>;TAG=mine\r\n\r\n", kFault, kSource);
  EXPECT_THAT(answer.value_or(""), HasSubstr("To: <sip:x>;TAG=mine\r\n"));
}

TEST(FaultAnswer, unparsable_via_is_copied_as_it_came) {
  const auto answer = fault_answer("BYE sip:x SIP/2.0\r\nVia: nonsense\r\n\r\n", kFault, kSource);
  EXPECT_THAT(answer.value_or(""), HasSubstr("\r\nVia: nonsense\r\n"));
}

TEST(FaultAnswer, control_characters_cannot_get_into_an_answer) {
  EXPECT_FALSE(
      fault_answer("BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a\rX: b\r\n\r\n", kFault, kSource));
  EXPECT_FALSE(
      fault_answer(std::string("BYE sip:x SIP/2.0\r\nVia: a\0b\r\n\r\n", 32), kFault, kSource));
}

TEST(FaultAnswer, an_answer_never_outgrows_its_bound) {
  const std::string start = "BYE sip:x SIP/2.0\r\n";
  const std::string via = "Via: SIP/2.0/UDP " + std::string(1000, 'a') + "\r\n";
  std::string request = start;
  for (int i = 0; i < 7; ++i) request += via;
  const auto answer = fault_answer(request + "\r\n", kFault, kSource);
  ASSERT_TRUE(answer);
  EXPECT_LE(answer->size(), limits::kFaultAnswerBytes + 64);
  for (int i = 0; i < 20; ++i) request += via;
  EXPECT_FALSE(fault_answer(request + "\r\n", kFault, kSource));
}

TEST(FaultAnswer, headers_after_the_empty_line_are_body) {
  EXPECT_FALSE(fault_answer("BYE sip:x SIP/2.0\r\n\r\nVia: SIP/2.0/UDP a\r\n", kFault, kSource));
}

}  // namespace
}  // namespace isthmus::transport
