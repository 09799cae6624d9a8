#pragma once
#include <functional>
#include <string_view>

#include "ops/config_scalars.hpp"

namespace isthmus::ops {

/// What the reference says about a key beside its type and default.
struct KeyDoc {
  std::string_view text;
  std::string_view unit = {};
  std::string_view shown_default = {};  ///< when the value in the struct does not say it
  bool required = false;
};

/// Walks over every key of a configuration. The one description in config_keys.cpp serves the
/// loader (which fills the struct and knows by it which keys exist) and the reference (which prints
/// it).
class KeyVisitor {
 public:
  virtual ~KeyVisitor() = default;
  virtual void value(std::string_view name, const KeyDoc& doc, const Scalar& scalar) = 0;
  virtual void values(std::string_view name, const KeyDoc& doc, const ScalarList& list) = 0;
  virtual void section(std::string_view name, std::string_view text,
                       const std::function<void()>& body) = 0;
  /// `item` appends an element and visits its keys.
  virtual void sections(std::string_view name, std::string_view text,
                        const std::function<void()>& item) = 0;
};

void visit_keys(KeyVisitor& visitor, GatewayConfig& config);
void visit_keys(KeyVisitor& visitor, ConnectorConfig& config);

}  // namespace isthmus::ops
