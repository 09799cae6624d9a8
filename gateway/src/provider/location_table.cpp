#include "provider/location_table.hpp"

#include <algorithm>

namespace isthmus::provider {
namespace {

template <typename Index, typename Key>
void add_to(Index& index, const Key& key, const std::string& user) {
  ++index[key][user];
}

template <typename Index, typename Key>
void take_from(Index& index, const Key& key, const std::string& user) {
  auto users = index.find(key);
  if (users == index.end()) return;
  auto count = users->second.find(user);
  if (count != users->second.end() && --count->second == 0) users->second.erase(count);
  if (users->second.empty()) index.erase(users);
}

template <typename Index, typename Key>
std::vector<std::string> users_in(const Index& index, const Key& key) {
  std::vector<std::string> names;
  auto users = index.find(key);
  if (users == index.end()) return names;
  for (const auto& [user, count] : users->second) names.push_back(user);
  return names;
}

}  // namespace

const LocationTable::Contacts* LocationTable::find(std::string_view user) const {
  auto found = users_.find(user);
  return found == users_.end() ? nullptr : &found->second;
}

void LocationTable::replace(const std::string& user, Contacts contacts) {
  auto known = users_.find(user);
  if (known != users_.end()) {
    for (const Contact& contact : known->second) forget(user, contact);
  }
  for (const Contact& contact : contacts) note(user, contact);
  if (!contacts.empty()) {
    users_[user] = std::move(contacts);
  } else if (known != users_.end()) {
    users_.erase(known);
  }
}

void LocationTable::note(const std::string& user, const Contact& contact) {
  ++size_;
  add_to(by_host_, contact.host, user);
  // One that cannot be reached belongs to no flow any more.
  if (!contact.reachable) return;
  add_to(by_flow_, contact.flow, user);
  ++flow_sizes_[contact.flow];
}

void LocationTable::forget(const std::string& user, const Contact& contact) {
  --size_;
  take_from(by_host_, contact.host, user);
  if (!contact.reachable) return;
  take_from(by_flow_, contact.flow, user);
  auto size = flow_sizes_.find(contact.flow);
  if (size != flow_sizes_.end() && --size->second == 0) flow_sizes_.erase(size);
}

std::size_t LocationTable::count_of(const sip::Flow& flow) const {
  auto found = flow_sizes_.find(flow);
  return found == flow_sizes_.end() ? 0 : found->second;
}

std::vector<std::string> LocationTable::users_of(const sip::Flow& flow) const {
  return users_in(by_flow_, flow);
}

std::vector<std::string> LocationTable::users_at(std::string_view host) const {
  return users_in(by_host_, std::string(host));
}

std::vector<std::string> LocationTable::sweep(Instant now, std::size_t most) {
  std::vector<std::string> stale;
  auto at = users_.lower_bound(sweep_next_);
  std::size_t seen = 0;
  for (; at != users_.end() && seen < most; ++at, ++seen) {
    bool expired = std::any_of(at->second.begin(), at->second.end(),
                               [&](const Contact& contact) { return contact.expires <= now; });
    if (expired) stale.push_back(at->first);
  }
  sweep_next_ = at == users_.end() ? std::string() : at->first;
  for (const std::string& user : stale) {
    Contacts left = users_.find(user)->second;
    std::erase_if(left, [&](const Contact& contact) { return contact.expires <= now; });
    replace(user, std::move(left));
  }
  return stale;
}

}  // namespace isthmus::provider
