// Random edits against a model that is nothing but a list of names and values.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "base/text.hpp"
#include "sip/message.hpp"
#include "unit/sip/message_samples.hpp"

namespace isthmus::sip {
namespace {

std::string_view long_name(std::string_view name) {
  const HeaderId id = header_from(name);
  return id == HeaderId::other ? name : to_text(id);
}
bool same_name(std::string_view a, std::string_view b) {
  return iequals(long_name(a), long_name(b));
}

struct Model {
  std::string start;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  std::size_t first(std::string_view name) const {
    std::size_t i = 0;
    while (i < fields.size() && !same_name(fields[i].first, name)) ++i;
    return i;
  }
  void set(const std::string& name, const std::string& value) {
    const std::size_t at = first(name);
    if (at == fields.size()) {
      fields.emplace_back(name, value);
      return;
    }
    fields[at].second = value;
    for (std::size_t i = fields.size() - 1; i > at; --i)
      if (same_name(fields[i].first, name))
        fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void prepend(const std::string& name, const std::string& value) {
    const std::size_t at = first(name);
    const auto where = fields.begin() + static_cast<std::ptrdiff_t>(at == fields.size() ? 0 : at);
    fields.insert(where, {name, value});
  }
  void remove(const std::string& name) {
    std::erase_if(fields, [&](const auto& field) { return same_name(field.first, name); });
  }
  void set_body(const std::string& text, const std::string& type) {
    body = text;
    for (auto& [name, value] : fields)
      if (same_name(name, "Content-Length")) value = std::to_string(body.size());
    if (body.empty()) {
      remove("Content-Type");
    } else if (!type.empty()) {
      set("Content-Type", type);
    }
  }
};

Model model_of(const Message& message) {
  Model out;
  for (std::size_t i = 0; i < message.field_count(); ++i) {
    const auto field = message.field(i);
    out.fields.emplace_back(field.name, field.value);
  }
  out.body = message.body();
  return out;
}

void expect_same(const Message& message, const Model& model) {
  ASSERT_EQ(message.field_count(), model.fields.size());
  for (std::size_t i = 0; i < model.fields.size(); ++i) {
    EXPECT_EQ(message.field(i).name, model.fields[i].first) << i;
    EXPECT_EQ(message.field(i).value, model.fields[i].second) << i;
    EXPECT_EQ(message.field(i).id, header_from(model.fields[i].first)) << i;
  }
  EXPECT_EQ(message.body(), model.body);
}

class Editor {
 public:
  explicit Editor(std::uint64_t seed) : random_(seed) {}

  void step(Message& message, Model& model) {
    const std::string name = pick({"Via", "X-Unknown", "Subject", "Supported", "Route", "x-other",
                                   "Content-Type", "To", "History-Info", "Call-ID"});
    const HeaderId id = header_from(name);
    const std::string value =
        pick({"", "a", "a, b", "\"x, y\" <sip:a,b@h>;c, <sip:d@h>", "plain text value"});
    switch (random_.below(9)) {
      case 0:
        message.set(name, value), model.set(name, value);
        break;
      case 1:
        message.add(name, value), model.fields.emplace_back(name, value);
        break;
      case 2:
        if (id != HeaderId::other) message.prepend(id, value), model.prepend(name, value);
        break;
      case 3:
        message.remove(name), model.remove(name);
        break;
      case 4:
        first_value_removed(message, model, name, id);
        break;
      case 5:
        first_value_set(message, model, name, id);
        break;
      case 6: {
        const std::size_t index = random_.below(message.field_count() + 2);
        message.set_field(index, value);
        if (index < model.fields.size()) model.fields[index].second = value;
        break;
      }
      case 7: {
        const std::string body =
            pick({"", "b", "a longer body\r\n\r\nwith lines", std::string(900, 'z')});
        const std::string type = pick({"", "text/plain"});
        message.set_body(body, type), model.set_body(body, type);
        break;
      }
      default:
        message.set_request_uri("sip:" + random_.token(8) + "@example.org");
        break;
    }
  }

 private:
  std::string pick(std::initializer_list<std::string> choices) {
    return *(choices.begin() + random_.below(choices.size()));
  }

  void first_value_removed(Message& message, Model& model, const std::string& name, HeaderId id) {
    message.remove_first_value(id);
    const std::size_t at = model.first(name);
    if (id == HeaderId::other || at == model.fields.size()) return;
    std::string& value = model.fields[at].second;
    const auto parts = split_list(value);
    if (parts.size() < 2) {
      model.fields.erase(model.fields.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      value = value.substr(value.find(parts[1], parts[0].size()));
    }
  }

  void first_value_set(Message& message, Model& model, const std::string& name, HeaderId id) {
    if (id == HeaderId::other) return;
    message.set_first_value(id, "FIRST");
    const std::size_t at = model.first(name);
    if (at == model.fields.size()) {
      model.fields.emplace_back(name, "FIRST");
      return;
    }
    std::string& value = model.fields[at].second;
    const auto parts = split_list(value);
    value = parts.empty() ? "FIRST" : "FIRST" + value.substr(parts[0].size());
  }

  SeededRandom random_;
};

TEST(message_property, random_edits_follow_the_model) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto parsed = Message::parse(samples::invite());
    ASSERT_TRUE(parsed);
    Message message = std::move(*parsed);
    Model model = model_of(message);
    Editor editor(seed);
    for (int step = 0; step < 30; ++step) {
      editor.step(message, model);
      expect_same(message, model);
      if (HasFailure()) FAIL() << "step " << step;
    }
    // What goes out reads back as the same, with a right Content-Length.
    const std::string wire = message.serialize();
    const auto again = Message::parse(wire);
    ASSERT_TRUE(again) << again.error().reason();
    EXPECT_EQ(again->serialize(), wire);
    EXPECT_EQ(again->request_uri(), message.request_uri());
    EXPECT_EQ(again->number(HeaderId::content_length), model.body.size());
    for (auto& [name, value] : model.fields)
      if (same_name(name, "Content-Length")) value = std::to_string(model.body.size());
    expect_same(*again, model);
    if (HasFailure()) FAIL();
  }
}

std::string without_cr(std::string text) {
  std::erase(text, '\r');
  return text;
}

/// A sound message cut, doubled or overwritten at random: never a crash, and what parses is stable.
TEST(message_property, damaged_messages_are_survived) {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    std::string text = samples::invite();
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      constexpr std::string_view kBytes(
          "\r\n :;,<>\"@/%()\\\0\xff"
          "A0",
          18);
      switch (random.below(4)) {
        case 0:
          text[at] = kBytes[random.below(kBytes.size())];
          break;
        case 1:
          text.erase(at, 1 + random.below(20));
          break;
        case 2:
          text.insert(at, 1, kBytes[random.below(kBytes.size())]);
          break;
        default:
          text.insert(at, std::string(text.substr(random.below(text.size()), 30)));
          break;
      }
      if (text.empty()) break;
    }
    const auto message = Message::parse(text);
    if (!message) {
      EXPECT_LE(message.error().offset, text.size());
      EXPECT_FALSE(message.error().reason().empty());
      continue;
    }
    const auto fault = message->check();
    if (!fault) {
      EXPECT_TRUE(message->top_via());
      EXPECT_TRUE(message->cseq());
      EXPECT_TRUE(message->from());
      EXPECT_TRUE(message->to());
    }
    const std::string wire = message->serialize();
    // As it came, but for line ends of LF alone, which have become CRLF.
    EXPECT_NE(without_cr(text).find(without_cr(wire)), std::string::npos);
    const auto again = Message::parse(wire);
    ASSERT_TRUE(again);
    expect_same(*again, model_of(*message));
  }
}

}  // namespace
}  // namespace isthmus::sip
