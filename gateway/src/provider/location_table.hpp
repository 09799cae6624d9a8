#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "provider/contact.hpp"

namespace isthmus::provider {

/// Contacts by user, and by what else they must be found: the flow they came on (a link that
/// breaks takes all of its own along) and their host (a device that comes back). Pure.
class LocationTable {
 public:
  using Contacts = std::vector<Contact>;
  using Users = std::map<std::string, Contacts, std::less<>>;

  /// Contacts of a user, expired ones included; null if there are none.
  const Contacts* find(std::string_view user) const;
  /// Puts these in place of a user's contacts; none: the user is forgotten.
  void replace(const std::string& user, Contacts contacts);
  /// Contacts of that flow, of all users.
  std::size_t count_of(const sip::Flow& flow) const;
  std::vector<std::string> users_of(const sip::Flow& flow) const;
  std::vector<std::string> users_at(std::string_view host) const;  ///< host in lower case
  std::size_t size() const { return size_; }
  const Users& all() const { return users_; }

  /// Looks on through at most `most` users for contacts that expired, where it stopped last time.
  /// @return users who lost one
  std::vector<std::string> sweep(Instant now, std::size_t most);

 private:
  template <typename Key>
  using Index = std::map<Key, std::map<std::string, std::size_t>>;  ///< → user → contacts

  void note(const std::string& user, const Contact& contact);
  void forget(const std::string& user, const Contact& contact);

  Users users_;
  Index<sip::Flow> by_flow_;
  Index<std::string> by_host_;
  std::map<sip::Flow, std::size_t> flow_sizes_;
  std::size_t size_ = 0;
  std::string sweep_next_;  ///< the user to begin with
};

}  // namespace isthmus::provider
