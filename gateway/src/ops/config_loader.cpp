#include "ops/config_loader.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/limits.hpp"
#include "ops/config_checks.hpp"
#include "ops/config_keys.hpp"

namespace isthmus::ops {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// The known name that was probably meant; empty if none is near.
std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, typed.size() / 3) + 1;
  if (typed.size() > 64) return best;  // no slip of the finger, and the table would be large
  for (const std::string& name : known) {
    std::size_t distance = edit_distance(typed, name);
    if (distance >= least || distance >= name.size()) continue;
    least = distance;
    best = name;
  }
  return best;
}

std::string shown(const std::string& text) {
  std::string out = "is \"";
  for (char c : text.substr(0, 60)) out += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  return out + (text.size() > 60 ? "…\"" : "\"");
}

const char* kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "is a section";
  if (node.IsSequence()) return "is a list";
  return node.IsNull() ? "is empty" : "is a single value";
}

/// Fills a configuration while it walks over the known keys, and notes every fault.
class Filler final : public KeyVisitor, public CheckSink {
 public:
  Filler(std::string file, const FileReader& read) : file_(std::move(file)) {
    files_.read = read;
    std::size_t slash = file_.rfind('/');
    if (slash != std::string::npos) files_.base_directory = file_.substr(0, slash);
  }

  void begin(const YAML::Node& root) { enter(root, "", 1); }
  void end() { leave(); }

  void value(std::string_view name, const KeyDoc& doc, const Scalar& scalar) override {
    std::string path = path_of(name);
    Entry* entry = find(name);
    if (entry == nullptr) {
      if (doc.required) note(frame().line, path, "is missing", scalar.expected);
      return;
    }
    assign(path, *entry, scalar.expected, scalar.secret, scalar.assign);
  }

  void values(std::string_view name, const KeyDoc& doc, const ScalarList& list) override {
    Entry* entry = find(name);
    std::string path = path_of(name);
    if (entry == nullptr) {
      if (doc.required) note(frame().line, path, "is missing", "a list, each " + list.expected);
      return;
    }
    if (list.one_alone && entry->node.IsScalar()) {
      list.clear();
      assign(path, *entry, list.expected, list.secret, list.add);
      return;
    }
    if (!entry->node.IsNull() && !entry->node.IsSequence()) {
      note(entry->line, path, kind_of(entry->node), "a list, each " + list.expected);
      return;
    }
    list.clear();
    for (std::size_t i = 0; i < entry->node.size(); ++i) {
      Entry item{entry->node[i], line_of(entry->node[i], entry->line), true};
      assign(path + "[" + std::to_string(i) + "]", item, list.expected, list.secret, list.add);
    }
  }

  void section(std::string_view name, std::string_view,
               const std::function<void()>& body) override {
    Entry* entry = find(name);
    std::string path = path_of(name);
    if (entry != nullptr && !entry->node.IsNull() && !entry->node.IsMap()) {
      note(entry->line, path, kind_of(entry->node), "a section with keys of its own");
      return;
    }
    // Without the section its required keys are still missing.
    enter(entry == nullptr ? YAML::Node() : entry->node, path, entry ? entry->line : frame().line);
    body();
    leave();
  }

  void sections(std::string_view name, std::string_view,
                const std::function<void()>& item) override {
    Entry* entry = find(name);
    if (entry == nullptr || entry->node.IsNull()) return;
    std::string path = path_of(name);
    if (!entry->node.IsSequence()) {
      note(entry->line, path, kind_of(entry->node), "a list of sections, each begun with \"-\"");
      return;
    }
    for (std::size_t i = 0; i < entry->node.size(); ++i) {
      YAML::Node node = entry->node[i];
      std::string item_path = path + "[" + std::to_string(i) + "]";
      int line = line_of(node, entry->line);
      lines_[item_path] = line;
      if (!node.IsMap()) {
        note(line, item_path, kind_of(node), "a section with keys of its own");
        // Appends an element all the same, so that indices stay right for the checks.
        node = YAML::Node();
        muted_ = true;
      }
      enter(node, item_path, line);
      item();
      leave();
      muted_ = false;
    }
  }

  void fault(const std::string& key, std::string wrong, std::string expected) override {
    std::string known = key;
    while (!known.empty() && !lines_.contains(known)) {
      std::size_t cut = known.find_last_of(".[");
      known = cut == std::string::npos ? "" : known.substr(0, cut);
    }
    note(known.empty() ? 1 : lines_[known], key, std::move(wrong), std::move(expected));
  }

  bool given(const std::string& key) const override { return lines_.contains(key); }

  void note(int line, const std::string& key, std::string wrong, std::string expected) {
    if (muted_) return;
    faults_.push_back({file_, line, key, std::move(wrong), std::move(expected)});
  }

  ConfigFaults take_faults() {
    std::stable_sort(faults_.begin(), faults_.end(),
                     [](const ConfigFault& a, const ConfigFault& b) { return a.line < b.line; });
    return std::move(faults_);
  }

 private:
  struct Entry {
    YAML::Node node;
    int line = 0;
    bool known = false;
  };
  struct Frame {
    std::string path;
    int line = 0;
    std::map<std::string, Entry, std::less<>> entries;
    std::vector<std::string> known;
  };
  using Assign = std::function<std::optional<Problem>(const std::string&, const FileAccess&)>;

  static int line_of(const YAML::Node& node, int otherwise) {
    return node.Mark().line >= 0 ? node.Mark().line + 1 : otherwise;
  }

  Frame& frame() { return frames_.back(); }

  std::string path_of(std::string_view name) {
    return frame().path.empty() ? std::string(name) : frame().path + "." + std::string(name);
  }

  void enter(const YAML::Node& node, std::string path, int line) {
    frames_.push_back({std::move(path), line, {}, {}});
    if (!node.IsDefined() || !node.IsMap()) return;
    for (const auto& pair : node) {
      int key_line = line_of(pair.first, line);
      if (!pair.first.IsScalar()) {
        note(key_line, frame().path, "has a key that is no word", "words as keys");
        continue;
      }
      const std::string& name = pair.first.Scalar();
      if (!frame().entries.try_emplace(name, Entry{pair.second, key_line, false}).second) {
        note(key_line, path_of(name), "is given twice", "each key once");
      }
    }
  }

  void leave() {
    for (const auto& [name, entry] : frame().entries) {
      if (entry.known) continue;
      std::string meant = nearest(name, frame().known);
      std::string expected;
      for (const std::string& known : frame().known) {
        expected += (expected.empty() ? "one of " : ", ") + known;
      }
      note(entry.line, path_of(name),
           "is not a known key" + (meant.empty() ? "" : "; did you mean " + meant + "?"),
           meant.empty() ? expected : "");
    }
    frames_.pop_back();
  }

  Entry* find(std::string_view name) {
    frame().known.emplace_back(name);
    auto found = frame().entries.find(name);
    if (found == frame().entries.end()) return nullptr;
    found->second.known = true;
    lines_[path_of(name)] = found->second.line;
    return &found->second;
  }

  void assign(const std::string& path, const Entry& entry, const std::string& expected, bool secret,
              const Assign& assign) {
    if (!entry.node.IsScalar()) {
      note(entry.line, path, kind_of(entry.node), expected);
      return;
    }
    std::optional<Problem> problem = assign(entry.node.Scalar(), files_);
    if (!problem) return;
    std::string wrong = problem->wrong;
    if (wrong.empty()) wrong = secret ? "cannot be used" : shown(entry.node.Scalar());
    note(entry.line, path, std::move(wrong),
         problem->expected.empty() ? expected : problem->expected);
  }

  std::string file_;
  FileAccess files_;
  std::vector<Frame> frames_;
  std::map<std::string, int> lines_;  ///< of the keys that were given
  ConfigFaults faults_;
  bool muted_ = false;
};

/// The file's one document; a fault instead when it is no YAML, or several documents.
std::optional<YAML::Node> parse_yaml(std::string_view yaml, Filler& filler) {
  if (yaml.size() > limits::kConfigFileBytes) {
    filler.note(0, "", "is larger than " + std::to_string(limits::kConfigFileBytes) + " bytes", "");
    return std::nullopt;
  }
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.empty()) return YAML::Node();
    if (documents.size() > 1) {
      filler.note(0, "", "holds several YAML documents (\"---\")", "one");
      return std::nullopt;
    }
    YAML::Node root = documents.front();
    if (root.IsMap() || root.IsNull()) return root;
    filler.note(1, "", std::string("the file ") + kind_of(root), "\"key: value\" lines");
  } catch (const YAML::Exception& exception) {
    filler.note(exception.mark.line + 1, "", "is not valid YAML: " + exception.msg, "");
  }
  return std::nullopt;
}

template <typename Config>
Result<Config, ConfigFaults> parse(std::string_view yaml, const std::string& file_name,
                                   const FileReader& read) {
  Filler filler(file_name, read);
  Config config;
  if (auto root = parse_yaml(yaml, filler)) {
    filler.begin(*root);
    visit_keys(filler, config);
    filler.end();
    check(config, filler);
  }
  ConfigFaults faults = filler.take_faults();
  if (!faults.empty()) return faults;
  return config;
}

template <typename Config>
Result<Config, ConfigFaults> load(const std::string& path) {
  auto content = read_file(path);
  if (!content) {
    return ConfigFaults{{path, 0, "", "cannot be read: " + content.error().text, ""}};
  }
  return parse<Config>(*content, path, read_file);
}

}  // namespace

std::string ConfigFault::to_string() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line);
  out += ": ";
  if (!key.empty()) out += key + ": ";
  out += wrong;
  if (!expected.empty()) out += ", expected " + expected;
  return out;
}

std::string to_string(const ConfigFaults& faults) {
  std::string out;
  for (const ConfigFault& fault : faults) out += fault.to_string() + "\n";
  return out;
}

Result<GatewayConfig, ConfigFaults> parse_gateway_config(std::string_view yaml,
                                                         const std::string& file_name,
                                                         const FileReader& read) {
  return parse<GatewayConfig>(yaml, file_name, read);
}

Result<ConnectorConfig, ConfigFaults> parse_connector_config(std::string_view yaml,
                                                             const std::string& file_name,
                                                             const FileReader& read) {
  return parse<ConnectorConfig>(yaml, file_name, read);
}

Result<GatewayConfig, ConfigFaults> load_gateway_config(const std::string& path) {
  return load<GatewayConfig>(path);
}

Result<ConnectorConfig, ConfigFaults> load_connector_config(const std::string& path) {
  return load<ConnectorConfig>(path);
}

}  // namespace isthmus::ops
