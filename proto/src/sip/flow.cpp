#include "sip/flow.hpp"

namespace isthmus::sip {

std::string Flow::to_string() const {
  if (is_link()) return "link " + std::to_string(session);
  std::string_view name = transport == Transport::udp   ? "udp "
                          : transport == Transport::tcp ? "tcp "
                                                        : "tls ";
  return std::string(name) + remote.to_string();
}

std::string_view to_text(Transport transport) {
  switch (transport) {
    case Transport::udp:
      return "UDP";
    case Transport::tcp:
      return "TCP";
    case Transport::tls:
      return "TLS";
    case Transport::link:
      break;
  }
  return "link";
}

std::size_t FlowHash::operator()(const Flow& flow) const {
  std::size_t hash = EndpointHash{}(flow.remote);
  for (std::uint64_t word :
       {flow.session, std::uint64_t{flow.local}, std::uint64_t{flow.connection},
        std::uint64_t{flow.identity}, std::uint64_t{static_cast<std::uint8_t>(flow.transport)}}) {
    hash ^= static_cast<std::size_t>(word) + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  }
  return hash;
}

}  // namespace isthmus::sip
