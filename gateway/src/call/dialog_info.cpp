#include "call/dialog_info.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::call {
namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
    {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};

/// Text of an attribute value. Nothing for a reference that is not predefined or not ASCII: none of
/// those stands in a tag or a SIP URI.
std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t at = text.find('&');
    out += text.substr(0, at);
    if (at == std::string_view::npos) break;
    std::size_t end = text.find(';', at);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view name = text.substr(at + 1, end - at - 1);
    bool known = false;
    for (const auto& [entity, character] : kEntities) {
      if (name != entity) continue;
      out += character;
      known = true;
    }
    if (!known && name.substr(0, 1) == "#") {
      auto code = parse_number<std::uint32_t>(name.substr(1));
      if (!code || *code < 0x20 || *code > 0x7e) return std::nullopt;
      out += static_cast<char>(*code);
      known = true;
    }
    if (!known) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool special = false;
    for (const auto& [entity, character] : kEntities) {
      if (c != character) continue;
      out.append("&").append(entity).append(";");
      special = true;
    }
    if (!special) out += c;
  }
  return out;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// One attribute of a start tag; positions are within the document.
struct Attribute {
  std::string_view name;
  std::size_t begin = 0, end = 0;  ///< of the value, between its quotes
};

struct StartTag {
  std::string_view name;  ///< without prefix
  std::vector<Attribute> attributes;

  const Attribute* find(std::string_view attribute) const {
    for (const Attribute& entry : attributes) {
      if (entry.name == attribute) return &entry;
    }
    return nullptr;
  }
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// The next start tag; nothing at the end, or when the document is at fault.
  std::optional<StartTag> next() {
    while (sound_) {
      at_ = text_.find('<', at_);
      if (at_ == std::string_view::npos) return std::nullopt;
      std::string_view rest = text_.substr(at_);
      if (rest.substr(0, 4) == "<!--") {
        skip_past("-->");
      } else if (rest.substr(0, 9) == "<![CDATA[") {
        skip_past("]]>");
      } else if (rest.substr(0, 2) == "<!") {
        sound_ = false;  // a DTD could give names another meaning
      } else if (rest.substr(0, 2) == "<?") {
        skip_past("?>");
      } else if (rest.substr(0, 2) == "</") {
        skip_past(">");
      } else {
        return start_tag();
      }
    }
    return std::nullopt;
  }
  bool sound() const { return sound_; }

 private:
  void skip_past(std::string_view end) {
    std::size_t found = text_.find(end, at_);
    sound_ = found != std::string_view::npos;
    at_ = sound_ ? found + end.size() : text_.size();
  }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  std::string_view name() {
    std::size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) &&
           std::string_view("<>/=\"'&").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }
  std::optional<StartTag> start_tag() {
    ++at_;
    StartTag tag;
    std::string_view qualified = name();
    tag.name = qualified.substr(qualified.find(':') + 1);  // npos + 1 is 0
    for (;;) {
      skip_space();
      if (at_ < text_.size() && text_[at_] == '/') ++at_;
      if (at_ < text_.size() && text_[at_] == '>') {
        ++at_;
        return tag;
      }
      Attribute attribute;
      attribute.name = name();
      skip_space();
      bool assigned = at_ < text_.size() && text_[at_] == '=';
      if (assigned) ++at_;
      skip_space();
      char quote = at_ < text_.size() ? text_[at_] : '\0';
      std::size_t close = text_.find(quote, at_ + 1);
      if (attribute.name.empty() || !assigned || (quote != '"' && quote != '\'') ||
          close == std::string_view::npos ||
          tag.attributes.size() == limits::kDialogInfoAttributes) {
        sound_ = false;
        return std::nullopt;
      }
      attribute.begin = at_ + 1;
      attribute.end = close;
      at_ = close + 1;
      tag.attributes.push_back(attribute);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool sound_ = true;
};

struct Edit {
  std::size_t begin, end;
  std::string value;
};

}  // namespace

std::optional<std::string> rewrite_dialog_info(
    std::string_view document,
    const std::function<std::optional<DialogWords>(const DialogWords&)>& dialog,
    const std::function<std::optional<std::string>(std::string_view)>& target) {
  Scanner scanner(document);
  std::vector<Edit> edits;
  std::size_t elements = 0;
  auto value_of = [&](const Attribute* attribute) {
    return attribute
               ? unescape(document.substr(attribute->begin, attribute->end - attribute->begin))
               : std::optional<std::string>("");
  };
  auto put = [&](const Attribute* attribute, const std::string& before, const std::string& after) {
    if (attribute && before != after)
      edits.push_back({attribute->begin, attribute->end, escape(after)});
  };
  while (std::optional<StartTag> tag = scanner.next()) {
    bool names_dialog = tag->name == "dialog" || tag->name == "replaces";
    if (!names_dialog && tag->name != "target") continue;
    if (++elements > limits::kDialogInfoElements) return std::nullopt;
    if (names_dialog) {
      const Attribute* call_id = tag->find("call-id");
      const Attribute* local = tag->find("local-tag");
      const Attribute* remote = tag->find("remote-tag");
      auto id = value_of(call_id), local_tag = value_of(local), remote_tag = value_of(remote);
      if (!call_id || !id || !local_tag || !remote_tag) continue;
      DialogWords words{*id, *local_tag, *remote_tag};
      std::optional<DialogWords> other = dialog(words);
      if (!other) continue;
      std::size_t first = edits.size();
      put(call_id, words.call_id, other->call_id);
      put(local, words.local_tag, other->local_tag);
      put(remote, words.remote_tag, other->remote_tag);
      std::sort(edits.begin() + static_cast<std::ptrdiff_t>(first), edits.end(),
                [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
    } else if (const Attribute* uri = tag->find("uri")) {
      auto text = value_of(uri);
      std::optional<std::string> other = text ? target(*text) : std::nullopt;
      if (other) put(uri, *text, *other);
    }
  }
  if (!scanner.sound()) return std::nullopt;
  std::string out;
  std::size_t copied = 0;
  for (const Edit& edit : edits) {
    out += document.substr(copied, edit.begin - copied);
    out += edit.value;
    copied = edit.end;
  }
  out += document.substr(copied);
  return out;
}

}  // namespace isthmus::call
