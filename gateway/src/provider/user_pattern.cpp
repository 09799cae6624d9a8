#include "provider/user_pattern.hpp"

#include <re2/re2.h>

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::provider {
namespace {

/// A dial plan as a regular expression; nothing when a bracket does not close or holds more than
/// digits and ranges.
std::optional<std::string> regex_of_dial_plan(std::string_view plan) {
  std::string regex;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    switch (plan[i]) {
      case 'X':
        regex += "[0-9]";
        break;
      case 'Z':
        regex += "[1-9]";
        break;
      case 'N':
        regex += "[2-9]";
        break;
      case '.':
        regex += "(.+)";
        break;
      case '!':
        regex += "(.*)";
        break;
      case '[': {
        std::size_t end = plan.find(']', i);
        if (end == std::string_view::npos || end == i + 1) return std::nullopt;
        std::string_view set = plan.substr(i, end + 1 - i);
        bool sound = std::all_of(set.begin() + 1, set.end() - 1,
                                 [](char c) { return (c >= '0' && c <= '9') || c == '-'; });
        if (!sound) return std::nullopt;
        regex += set;
        i = end;
        break;
      }
      default:
        regex += re2::RE2::QuoteMeta(re2::StringPiece(&plan[i], 1));
        break;
    }
  }
  return regex;
}

re2::RE2::Options options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(limits::kPatternMemoryBytes);
  return options;
}

}  // namespace

Result<UserPattern, PatternFault> UserPattern::parse(std::string_view text) {
  UserPattern pattern;
  pattern.text_ = text;
  if (text.empty()) return PatternFault{"it is empty"};
  if (text.size() > limits::kPatternBytes) return PatternFault{"it is too long"};
  std::string regex;
  if (text.front() == '_') {
    std::optional<std::string> plan = regex_of_dial_plan(text.substr(1));
    if (!plan || text.size() == 1)
      return PatternFault{"a bracket does not hold digits, or is open"};
    regex = *plan;
  } else if (text.front() == '/') {
    if (text.size() < 3 || text.back() != '/') return PatternFault{"no \"/\" ends it"};
    regex = text.substr(1, text.size() - 2);
  } else {
    return pattern;
  }
  auto compiled = std::make_shared<const re2::RE2>(regex, options());
  if (!compiled->ok()) return PatternFault{compiled->error()};
  pattern.groups_ = static_cast<std::size_t>(compiled->NumberOfCapturingGroups());
  pattern.regex_ = std::move(compiled);
  return pattern;
}

std::optional<std::vector<std::string>> UserPattern::match(std::string_view text) const {
  if (!regex_) {
    if (text != text_) return std::nullopt;
    return std::vector<std::string>{std::string(text)};
  }
  std::vector<re2::StringPiece> found(groups_ + 1);
  re2::StringPiece subject(text.data(), text.size());
  if (!regex_->Match(subject, 0, text.size(), re2::RE2::ANCHOR_BOTH, found.data(),
                     static_cast<int>(found.size()))) {
    return std::nullopt;
  }
  return std::vector<std::string>(found.begin(), found.end());
}

std::string substitute(std::string_view replacement, const std::vector<std::string>& captures) {
  std::string out;
  for (std::size_t i = 0; i < replacement.size(); ++i) {
    char c = replacement[i];
    if (c != '\\' || i + 1 == replacement.size()) {
      out += c;
      continue;
    }
    char next = replacement[++i];
    if (next < '0' || next > '9') {
      out += next;
    } else if (auto index = static_cast<std::size_t>(next - '0'); index < captures.size()) {
      out += captures[index];
    }
  }
  return out;
}

std::optional<std::size_t> largest_reference(std::string_view replacement) {
  std::optional<std::size_t> largest;
  for (std::size_t i = 0; i + 1 < replacement.size(); ++i) {
    if (replacement[i] != '\\') continue;
    char next = replacement[++i];
    if (next >= '0' && next <= '9') {
      largest = std::max(largest.value_or(0), static_cast<std::size_t>(next - '0'));
    }
  }
  return largest;
}

}  // namespace isthmus::provider
