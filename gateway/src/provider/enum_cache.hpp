#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "dns/records.hpp"

namespace isthmus::provider {

/// NAPTR records of telephone numbers (ENUM, RFC 6116), as the DNS gave them, while they hold.
/// Routing reads them; a number that is not here is asked for with `RoutePending{lookup_key()}`,
/// and the gateway fills the answer in before the request is routed again. That a number has no
/// records, or that the DNS failed, is an answer too, so that no request waits twice. Bounded by
/// limits::kEnumNumbers; what would expire first makes room. Pure, one thread.
class EnumCache {
 public:
  /// @param number digits with or without a leading '+'.
  /// @return the records in the order in which they are to be tried (order, preference; RFC 3403
  /// §4.1), perhaps none; null when nothing is known.
  const std::vector<dns::NaptrRecord>* find(std::string_view number, Instant now) const;
  void set(std::string_view number, std::vector<dns::NaptrRecord> records, Instant expires,
           Instant now);
  std::size_t size() const { return numbers_.size(); }

  /// "enum:+4930123456".
  static std::string lookup_key(std::string_view number);
  /// The number of such a key, without '+'; nothing for any other key.
  static std::optional<std::string> number_of_key(std::string_view key);
  /// "6.5.4.3.2.1.0.3.9.4.e164.arpa" (RFC 6116 §3.2); nothing unless the number is 1 to 15 digits.
  static std::optional<std::string> domain_of(std::string_view number, std::string_view suffix);

 private:
  struct Entry {
    std::vector<dns::NaptrRecord> records;
    Instant expires;
  };
  std::map<std::string, Entry, std::less<>> numbers_;  ///< by digits
};

}  // namespace isthmus::provider
