#include "call/merged_requests.hpp"

namespace isthmus::call {

bool MergedRequests::begin(sip::TransactionId server, const sip::Message& request) {
  std::string key(request.call_id());
  key += '\n';
  key += request.from_tag();
  key += '\n';
  key += request.get(sip::HeaderId::cseq).value_or("");
  key += '\n';
  key += request.request_uri();
  if (!open_.insert(key).second) return false;
  by_server_.emplace(server, std::move(key));
  return true;
}

void MergedRequests::end(sip::TransactionId server) {
  auto found = by_server_.find(server);
  if (found == by_server_.end()) return;
  open_.erase(found->second);
  by_server_.erase(found);
}

}  // namespace isthmus::call
