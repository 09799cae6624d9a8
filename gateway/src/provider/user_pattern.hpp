#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace re2 {
class RE2;
}

namespace isthmus::provider {

struct PatternFault {
  std::string text;  ///< what is wrong, to follow "is no pattern: "
};

/// A pattern of telephone numbers and user parts, in one of three forms:
///
///     +4930123456       that text
///     _+49[1-9]XXX.     a dial plan: X 0-9, Z 1-9, N 2-9, [15-7] one of these, . one or more of
///                       anything, ! any number of anything; all else stands for itself
///     /\+49(\d+)/       a regular expression (RE2 syntax) of the whole
///
/// Matching takes time linear in the text whatever the pattern, so that texts may come from
/// anywhere. Copyable; pure.
class UserPattern {
 public:
  static Result<UserPattern, PatternFault> parse(std::string_view text);

  /// What matched: [0] the whole, then the groups of a regular expression in order, or what each
  /// '.' and '!' of a dial plan stands for. Nothing: no match.
  std::optional<std::vector<std::string>> match(std::string_view text) const;
  std::size_t groups() const { return groups_; }
  const std::string& text() const { return text_; }
  bool operator==(const UserPattern& other) const { return text_ == other.text_; }

 private:
  std::string text_;
  std::shared_ptr<const re2::RE2> regex_;  ///< null: the text itself
  std::size_t groups_ = 0;
};

/// Puts captures in the place of "\0" to "\9"; "\\" is a backslash. One that is not there is empty.
std::string substitute(std::string_view replacement, const std::vector<std::string>& captures);
/// The largest N of "\N" in it; nothing when it refers to none.
std::optional<std::size_t> largest_reference(std::string_view replacement);

}  // namespace isthmus::provider
