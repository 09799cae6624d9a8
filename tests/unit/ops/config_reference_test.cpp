#include "ops/config_reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ops/config_loader.hpp"

namespace isthmus::ops {
namespace {

TEST(ConfigReference, the_committed_page_is_what_the_code_prints) {
  auto page = read_file(ISTHMUS_SOURCE_DIR "/gateway/docs/configuration.md");
  ASSERT_TRUE(page) << page.error().text;
  EXPECT_TRUE(*page == config_reference())
      << "run: isthmus-gateway config-reference > gateway/docs/configuration.md";
}

TEST(ConfigReference, every_key_is_explained_once) {
  for (const auto& keys : {gateway_keys(), connector_keys()}) {
    std::set<std::string> seen;
    for (const KeyInfo& key : keys) {
      EXPECT_TRUE(seen.insert(key.path).second) << key.path;
      EXPECT_GT(key.text.size(), 10u) << key.path;
      EXPECT_FALSE(key.type.empty()) << key.path;
      EXPECT_TRUE(key.required || !key.default_value.empty()) << key.path << " shows no default";
      EXPECT_EQ(key.text.find('|'), std::string::npos) << key.path << " would break the table";
    }
  }
}

TEST(ConfigReference, keys_whose_names_carry_a_unit_say_it) {
  for (const KeyInfo& key : gateway_keys()) {
    if (key.path.ends_with("_per_s")) {
      EXPECT_EQ(key.unit, "1/s") << key.path;
    } else if (key.path.ends_with("_s")) {
      EXPECT_EQ(key.unit, "s") << key.path;
    } else if (key.path.ends_with("_ms")) {
      EXPECT_EQ(key.unit, "ms") << key.path;
    }
  }
}

// Writing down a documented default must change nothing.
TEST(ConfigReference, documented_defaults_are_the_real_ones) {
  int compared = 0;
  for (const KeyInfo& key : gateway_keys()) {
    if (!key.default_is_literal || key.path.find("[]") != std::string::npos) continue;
    std::string yaml, indent;
    std::string path = key.path;
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.')) {
      yaml += indent + path.substr(0, dot) + ":\n";
      path.erase(0, dot + 1);
      indent += "  ";
    }
    yaml += indent + path + ": " +
            (key.list ? "[" + key.default_value + "]" : "\"" + key.default_value + "\"") + "\n";
    auto config = parse_gateway_config(yaml, "defaults.yaml");
    ASSERT_TRUE(config) << to_string(config.error());
    EXPECT_EQ(*config, GatewayConfig()) << yaml;
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

}  // namespace
}  // namespace isthmus::ops
