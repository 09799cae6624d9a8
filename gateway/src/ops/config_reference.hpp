#pragma once
#include <string>
#include <vector>

namespace isthmus::ops {

/// One key of a configuration file, as the reference shows it.
struct KeyInfo {
  std::string path;  ///< "users[].name"
  std::string type, default_value, unit, text;
  bool required = false;
  bool default_is_literal = false;  ///< `default_value` could be written into a file as it stands
  bool list = false;
};

std::vector<KeyInfo> gateway_keys();
std::vector<KeyInfo> connector_keys();

/// Both tables as Markdown: what `isthmus-gateway config-reference` prints and
/// docs/configuration.md holds.
std::string config_reference();

}  // namespace isthmus::ops
