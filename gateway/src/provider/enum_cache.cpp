#include "provider/enum_cache.hpp"

#include <algorithm>
#include <tuple>

#include "base/limits.hpp"

namespace isthmus::provider {

namespace {

constexpr std::string_view kKeyPrefix = "enum:+";
constexpr std::size_t kE164Digits = 15;  // ITU-T E.164 §6

std::string_view without_plus(std::string_view number) {
  if (number.starts_with('+')) number.remove_prefix(1);
  return number;
}

bool is_number(std::string_view digits) {
  return !digits.empty() && digits.size() <= kE164Digits &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

const std::vector<dns::NaptrRecord>* EnumCache::find(std::string_view number, Instant now) const {
  auto found = numbers_.find(without_plus(number));
  if (found == numbers_.end() || found->second.expires <= now) return nullptr;
  return &found->second.records;
}

void EnumCache::set(std::string_view number, std::vector<dns::NaptrRecord> records, Instant expires,
                    Instant now) {
  std::stable_sort(records.begin(), records.end(),
                   [](const dns::NaptrRecord& a, const dns::NaptrRecord& b) {
                     return std::tie(a.order, a.preference) < std::tie(b.order, b.preference);
                   });
  std::string digits(without_plus(number));
  if (!numbers_.contains(digits) && numbers_.size() >= limits::kEnumNumbers) {
    std::erase_if(numbers_, [&](const auto& entry) { return entry.second.expires <= now; });
    if (numbers_.size() >= limits::kEnumNumbers) {
      numbers_.erase(std::min_element(
          numbers_.begin(), numbers_.end(),
          [](const auto& a, const auto& b) { return a.second.expires < b.second.expires; }));
    }
  }
  numbers_.insert_or_assign(std::move(digits), Entry{std::move(records), expires});
}

std::string EnumCache::lookup_key(std::string_view number) {
  return std::string(kKeyPrefix) + std::string(without_plus(number));
}

std::optional<std::string> EnumCache::number_of_key(std::string_view key) {
  if (!key.starts_with(kKeyPrefix)) return std::nullopt;
  return std::string(key.substr(kKeyPrefix.size()));
}

std::optional<std::string> EnumCache::domain_of(std::string_view number, std::string_view suffix) {
  std::string_view digits = without_plus(number);
  if (!is_number(digits)) return std::nullopt;
  std::string domain;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    domain += *digit;
    domain += '.';
  }
  domain += suffix;
  return domain;
}

}  // namespace isthmus::provider
