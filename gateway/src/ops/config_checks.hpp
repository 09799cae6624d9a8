#pragma once
#include <string>

#include "ops/config.hpp"

namespace isthmus::ops {

/// Where the checks that span several keys report. Keys are paths as in "users[1].name".
class CheckSink {
 public:
  virtual ~CheckSink() = default;
  virtual void fault(const std::string& key, std::string wrong, std::string expected) = 0;
  /// Was the key written in the file?
  virtual bool given(const std::string& key) const = 0;
};

/// Fills in the defaults that depend on other keys, and finds contradictions.
void check(GatewayConfig& config, CheckSink& sink);
void check(ConnectorConfig& config, CheckSink& sink);

}  // namespace isthmus::ops
