#include "ops/sip_config.hpp"

#include "base/text.hpp"

namespace isthmus::ops {

std::string SipTarget::to_string() const {
  std::string shown = "sip:" + (host.find(':') == std::string::npos ? host : "[" + host + "]");
  if (port != 0) shown += ":" + std::to_string(port);
  if (transport) shown += ";transport=" + to_lower(sip::to_text(*transport));
  return shown;
}

std::uint16_t SipTarget::port_or_default() const {
  if (port != 0) return port;
  return transport == sip::Transport::tls ? 5061 : 5060;
}

}  // namespace isthmus::ops
