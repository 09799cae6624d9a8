#pragma once
#include <string>
#include <utility>

namespace isthmus::ops {

/// Text that must not reach a log, a page or an error message: a password, a token, a key. There is
/// no conversion and no printer on purpose; whoever needs the text has to write `reveal()`.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}

  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  std::string text_;
};

}  // namespace isthmus::ops
