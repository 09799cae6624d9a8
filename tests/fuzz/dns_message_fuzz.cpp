// DNS responses come from whoever can send a datagram with the right id. The first byte chooses the
// type asked for.
#include <cstdlib>

#include "base/limits.hpp"
#include "dns/message.hpp"

using namespace isthmus;
using namespace isthmus::dns;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  auto type = static_cast<dns::Type>(data[0] % 4);
  dns::Answer answer = dns::parse_response({type, "a.example.com"}, {data + 1, size - 1});
  std::size_t records = answer.addresses.size() + answer.srv.size() + answer.naptr.size();
  if (records > limits::kDnsRecords) std::abort();
  if ((answer.status == dns::Status::found) != (records > 0)) std::abort();
  if (answer.ttl < seconds(0) || answer.ttl > limits::kDnsMostLife) std::abort();
  for (const dns::SrvRecord& record : answer.srv) {
    if (record.target.find_first_of("\r\n ?") != std::string::npos) std::abort();
  }
  for (const dns::NaptrRecord& record : answer.naptr) {
    if (record.replacement.find_first_of("\r\n ?") != std::string::npos) std::abort();
  }
  return 0;
}
