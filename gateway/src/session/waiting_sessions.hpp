#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace isthmus::session {

/// Sessions that lost their link and wait for another, by user: when a network fails, thousands
/// begin to wait at once, and each asks how many there are. Pure; single-threaded.
class WaitingSessions {
 public:
  /// @param instance  which installation of the client's software holds it; "" if it did not say
  void add(std::uint64_t session, const std::string& user, const std::string& instance);
  /// It has a link again, or is over. Others are ignored.
  void remove(std::uint64_t session);

  std::size_t size() const { return users_.size(); }
  std::size_t of_user(const std::string& user) const;
  /// What one installation has left behind.
  std::vector<std::uint64_t> of_instance(const std::string& user,
                                         const std::string& instance) const;

 private:
  struct Entry {
    std::uint64_t session;
    std::string instance;
  };
  std::unordered_map<std::uint64_t, std::string> users_;  ///< by session
  std::unordered_map<std::string, std::vector<Entry>> by_user_;
};

}  // namespace isthmus::session
