#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace isthmus::provider {

/// A contact as it is kept beyond the life of the process: times are seconds since 1970, UTC.
struct StoredContact {
  std::string user;  ///< of the address of record
  std::string uri, instance, params;
  std::uint32_t reg_id = 0;
  std::vector<std::string> path;
  std::string user_agent, call_id;
  std::uint32_t cseq = 0;
  double q = 1.0;
  std::int64_t expires_unix_s = 0, refreshed_unix_s = 0;
  bool operator==(const StoredContact&) const = default;
};

/// Where the built-in registrar keeps its contacts. What is put is what will be there after a
/// restart, sooner or later: calls must not block, and have no answer. Called from the registrar's
/// thread.
class RegistrarStore {
 public:
  virtual ~RegistrarStore() = default;
  /// All contacts of a user, in place of those that were kept; none: the user is forgotten.
  virtual void put(const std::string& user, std::vector<StoredContact> contacts) = 0;
};

}  // namespace isthmus::provider
