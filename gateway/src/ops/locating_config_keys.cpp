#include "ops/locating_config_keys.hpp"

namespace isthmus::ops {

void visit_dns(KeyVisitor& v, DnsConfig& c) {
  v.section("dns", "How names of providers and of next hops are looked up (RFC 3263).", [&] {
    v.values("servers",
             {"DNS servers, asked in this order.", "", "those of the system (resolv.conf)"},
             list_of(c.servers, dns_server));
    v.value("timeout_ms", {"How long one server may take, at the first try.", "ms"},
            duration(c.timeout, milliseconds(50), milliseconds(30'000)));
    v.value("tries", {"How often each server is asked before a look-up fails.", "times"},
            count(c.tries, 1, 10));
  });
}

void visit_enum(KeyVisitor& v, EnumConfig& c) {
  v.section("enum", "Telephone numbers in the DNS (RFC 6116), for routes that ask for them.", [&] {
    v.value("suffix", {"Domain under which numbers are looked up."}, domain_name(c.suffix));
  });
}

}  // namespace isthmus::ops
