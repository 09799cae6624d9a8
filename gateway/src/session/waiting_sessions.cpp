#include "session/waiting_sessions.hpp"

namespace isthmus::session {

void WaitingSessions::add(std::uint64_t session, const std::string& user,
                          const std::string& instance) {
  if (!users_.emplace(session, user).second) return;
  by_user_[user].push_back({session, instance});
}

void WaitingSessions::remove(std::uint64_t session) {
  const auto user = users_.find(session);
  if (user == users_.end()) return;
  const auto found = by_user_.find(user->second);
  std::erase_if(found->second, [&](const Entry& entry) { return entry.session == session; });
  if (found->second.empty()) by_user_.erase(found);
  users_.erase(user);
}

std::size_t WaitingSessions::of_user(const std::string& user) const {
  const auto found = by_user_.find(user);
  return found == by_user_.end() ? 0 : found->second.size();
}

std::vector<std::uint64_t> WaitingSessions::of_instance(const std::string& user,
                                                        const std::string& instance) const {
  std::vector<std::uint64_t> sessions;
  const auto found = by_user_.find(user);
  if (found == by_user_.end()) return sessions;
  for (const Entry& entry : found->second) {
    if (entry.instance == instance) sessions.push_back(entry.session);
  }
  return sessions;
}

}  // namespace isthmus::session
