#pragma once
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/time.hpp"

namespace isthmus::call {

/// Moments at which something that a key names falls due: one for each key, the earliest first.
/// Ties fall in the order of the keys, so that two runs of the same inputs are alike.
template <class Key>
class Deadlines {
 public:
  /// Sets or moves the deadline of a key.
  void set(const Key& key, Instant at) {
    clear(key);
    at_.emplace(key, at);
    order_.emplace(at, key);
  }
  void clear(const Key& key) {
    auto known = at_.find(key);
    if (known == at_.end()) return;
    order_.erase({known->second, key});
    at_.erase(known);
  }
  /// Takes one that is due out; call again until there is none.
  std::optional<Key> take_due(Instant now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    Key key = order_.begin()->second;
    clear(key);
    return key;
  }
  std::optional<Instant> next() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
  }
  bool has(const Key& key) const { return at_.contains(key); }
  std::size_t size() const { return at_.size(); }

 private:
  std::map<Key, Instant> at_;
  std::set<std::pair<Instant, Key>> order_;
};

}  // namespace isthmus::call
