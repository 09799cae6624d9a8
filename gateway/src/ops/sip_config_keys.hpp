#pragma once
#include <string_view>

#include "ops/config_keys.hpp"

namespace isthmus::ops {

/// The keys below `sip`. @param toward  who is spoken to, for the reference
void visit_sip(KeyVisitor& v, SipConfig& c, std::string_view toward);
/// `tls` and `datagram_bytes` of a provider.
void visit_provider_transport(KeyVisitor& v, ProviderConfig& c);

class CheckSink;
void check_sip(const SipConfig& sip, const MediaConfig& media, CheckSink& sink);
void check_provider_transport(const ProviderConfig& provider, const std::string& key,
                              CheckSink& sink);

}  // namespace isthmus::ops
