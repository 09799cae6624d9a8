#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "sip/flow.hpp"

namespace isthmus::call {

/// A local SIP listener as others know it: what Via and Contact say of us on flows that belong to
/// it.
struct SentBy {
  SentBy(const char* text) : host_port(text) {}             // NOLINT: a host and port is one
  SentBy(std::string text) : host_port(std::move(text)) {}  // NOLINT: same
  SentBy(sip::Transport over, const Endpoint& advertised)
      : host_port(advertised.to_string()), transport(over), ipv6(!advertised.address.is_v4()) {}

  std::string host_port;
  sip::Transport transport = sip::Transport::udp;
  bool ipv6 = false;
};

/// The listener that stands for us on a flow: the one it came in by, if it can have; else the first
/// of its transport and address family, of its transport, of its family.
/// @param listeners  by Flow::local; not empty
const SentBy& sent_by_of(const std::vector<SentBy>& listeners, const sip::Flow& flow);

}  // namespace isthmus::call
