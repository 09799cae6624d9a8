// A datagram that is no sound message may be answered. Whatever it held, the answer is one
// well-formed response of the fault's status, with nothing smuggled into it, and no answer is ever
// answered.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/limits.hpp"
#include "sip/message.hpp"
#include "transport/fault_answer.hpp"

using namespace isthmus;

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text({data, size}));
  const Endpoint source{IpAddress::v4(0xc0000201), 40000};
  const auto message = sip::Message::parse(text);
  std::optional<sip::Fault> fault;
  if (!message) {
    fault = message.error();
  } else {
    fault = message->check();
  }
  if (!fault) return 0;
  const auto answer = transport::fault_answer(text, *fault, source);
  if (!answer) return 0;
  require(answer->size() <= limits::kFaultAnswerBytes + 64);
  const auto parsed = sip::Message::parse(*answer);
  require(static_cast<bool>(parsed));
  require(parsed->is_response() && parsed->status() == fault->status());
  require(parsed->reason() == fault->reason());
  require(parsed->body().empty());
  for (std::size_t i = 0; i < parsed->field_count(); ++i) {
    const auto id = parsed->field(i).id;
    require(id == sip::HeaderId::via || id == sip::HeaderId::from || id == sip::HeaderId::to ||
            id == sip::HeaderId::call_id || id == sip::HeaderId::cseq ||
            id == sip::HeaderId::content_length);
  }
  require(!transport::fault_answer(*answer, *fault, source));
  return 0;
}
