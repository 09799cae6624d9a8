#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "call/deadlines.hpp"

namespace isthmus::call {

/// What the host was asked to find out (`Lookup` actions), and who goes on when it is done: each
/// key is asked once however many wait for it, and none waits longer than limits::kLookupLife.
/// Internal to the room.
class Lookups {
 public:
  /// @param done  false: the time is up and nothing is known. Called from done() or on_timeout();
  ///   must look up by id whatever it means to go on with, which may be gone.
  using Resume = std::function<void(bool done)>;
  enum class Asked : std::uint8_t {
    first,  ///< the host is to be asked
    again,  ///< it has been asked
    full,   ///< limits::kParkedRequests wait: nothing was kept
  };

  Asked ask(const std::string& key, Instant now, Resume resume);
  void done(std::string_view key);
  void on_timeout(Instant now);
  std::optional<Instant> next_deadline() const { return deadlines_.next(); }
  std::size_t waiting() const { return waiting_; }

 private:
  void resume(const std::string& key, bool done);

  std::unordered_map<std::string, std::vector<Resume>> by_key_;
  Deadlines<std::string> deadlines_;
  std::size_t waiting_ = 0;
};

}  // namespace isthmus::call
