#include "call/lookups.hpp"

#include "base/limits.hpp"

namespace isthmus::call {

Lookups::Asked Lookups::ask(const std::string& key, Instant now, Resume resume) {
  if (waiting_ >= limits::kParkedRequests) return Asked::full;
  ++waiting_;
  auto [entry, first] = by_key_.try_emplace(key);
  entry->second.push_back(std::move(resume));
  if (!first) return Asked::again;
  deadlines_.set(key, now + limits::kLookupLife);
  return Asked::first;
}

void Lookups::done(std::string_view key) {
  resume(std::string(key), true);
}

void Lookups::on_timeout(Instant now) {
  while (std::optional<std::string> key = deadlines_.take_due(now)) resume(*key, false);
}

void Lookups::resume(const std::string& key, bool done) {
  auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  std::vector<Resume> ready = std::move(found->second);  // going on may ask again, for the same
  by_key_.erase(found);
  deadlines_.clear(key);
  waiting_ -= ready.size();
  for (Resume& go_on : ready) go_on(done);
}

}  // namespace isthmus::call
