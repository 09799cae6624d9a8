#include "ops/config.hpp"

namespace isthmus::ops {

std::vector<Network> ConnectorConfig::default_allow() {
  std::vector<Network> out;
  for (const char* text : {"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                           "169.254.0.0/16", "::1", "fc00::/7", "fe80::/10"}) {
    if (auto network = Network::parse(text)) out.push_back(*network);
  }
  return out;
}

}  // namespace isthmus::ops
