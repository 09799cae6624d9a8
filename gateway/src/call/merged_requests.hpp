#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "sip/message.hpp"
#include "sip/transaction_layer.hpp"

namespace isthmus::call {

/// Requests outside dialogs that are being answered, to know one that comes a second time by
/// another way: a loop through the far side, or a fork that met here again. Both are answered 482
/// (RFC 3261 §8.2.2.2, §16.3 step 4). One that comes back for another Request-URI is a spiral, and
/// welcome: a call to a provider's number that leads to another user of ours. Internal to the room.
class MergedRequests {
 public:
  /// @return false: the same request is being answered in another transaction.
  bool begin(sip::TransactionId server, const sip::Message& request);
  /// The transaction got its final response, or will get none.
  void end(sip::TransactionId server);
  std::size_t size() const { return by_server_.size(); }

 private:
  std::unordered_set<std::string> open_;
  std::unordered_map<sip::TransactionId, std::string> by_server_;
};

}  // namespace isthmus::call
