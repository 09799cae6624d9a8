#pragma once
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "call/call.hpp"
#include "sip/transaction_layer.hpp"

namespace isthmus::call {

/// What client transactions are for, by transaction and by call: a call ends without a look at the
/// transactions of others. A Use stays where it is until it is erased, also when it moves to
/// another transaction. Visitors and conditions may not change the table.
template <typename Use>
class UseTable {
 public:
  Use& add(sip::TransactionId client, CallId call, Use use) {
    auto [entry, added] = entries_.insert_or_assign(client, Entry{call, std::move(use)});
    if (added) by_call_[call].push_back(client);
    return entry->second.use;
  }

  Use* find(sip::TransactionId client) {
    auto found = entries_.find(client);
    return found == entries_.end() ? nullptr : &found->second.use;
  }

  /// The same request goes out again.
  void move(sip::TransactionId from, sip::TransactionId to) {
    auto entry = entries_.extract(from);
    if (entry.empty()) return;
    std::vector<sip::TransactionId>& of_call = by_call_.at(entry.mapped().call);
    std::replace(of_call.begin(), of_call.end(), from, to);
    entry.key() = to;
    entries_.insert(std::move(entry));
  }

  void erase(sip::TransactionId client) {
    auto found = entries_.find(client);
    if (found == entries_.end()) return;
    auto of_call = by_call_.find(found->second.call);
    std::erase(of_call->second, client);
    if (of_call->second.empty()) by_call_.erase(of_call);
    entries_.erase(found);
  }

  /// Erases those of the call for which `condition(client, use)` holds.
  template <typename Condition>
  void erase_of(CallId call, Condition condition) {
    auto of_call = by_call_.find(call);
    if (of_call == by_call_.end()) return;
    std::erase_if(of_call->second, [&](sip::TransactionId client) {
      auto entry = entries_.find(client);
      if (!condition(client, entry->second.use)) return false;
      entries_.erase(entry);
      return true;
    });
    if (of_call->second.empty()) by_call_.erase(of_call);
  }

  /// Whether `condition(use)` holds for one of the call's.
  template <typename Condition>
  bool any_of(CallId call, Condition condition) const {
    auto of_call = by_call_.find(call);
    if (of_call == by_call_.end()) return false;
    return std::any_of(
        of_call->second.begin(), of_call->second.end(),
        [&](sip::TransactionId client) { return condition(entries_.at(client).use); });
  }

  template <typename Visit>
  void for_each_of(CallId call, Visit visit) const {
    auto of_call = by_call_.find(call);
    if (of_call == by_call_.end()) return;
    for (sip::TransactionId client : of_call->second) visit(entries_.at(client).use);
  }

  /// Erases those of all calls for which `condition(use)` holds.
  template <typename Condition>
  void erase_if(Condition condition) {
    std::vector<sip::TransactionId> gone;
    for (const auto& [client, entry] : entries_) {
      if (condition(entry.use)) gone.push_back(client);
    }
    for (sip::TransactionId client : gone) erase(client);
  }

  /// The first for which `condition(use)` holds, of any call.
  template <typename Condition>
  std::optional<sip::TransactionId> find_if(Condition condition) const {
    for (const auto& [client, entry] : entries_) {
      if (condition(entry.use)) return client;
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    CallId call;
    Use use;
  };
  std::unordered_map<sip::TransactionId, Entry> entries_;
  std::unordered_map<CallId, std::vector<sip::TransactionId>> by_call_;
};

}  // namespace isthmus::call
