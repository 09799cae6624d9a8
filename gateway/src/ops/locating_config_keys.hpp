#pragma once
#include "ops/config_keys.hpp"

namespace isthmus::ops {

void visit_dns(KeyVisitor& v, DnsConfig& c);
void visit_enum(KeyVisitor& v, EnumConfig& c);

}  // namespace isthmus::ops
