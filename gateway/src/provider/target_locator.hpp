#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "dns/records.hpp"
#include "sip/flow.hpp"
#include "sip/uri.hpp"

namespace isthmus::provider {

/// The parts of a SIP URI that say where it leads.
struct TargetName {
  std::string host;        ///< name or address, lower case; IPv6 without brackets
  std::uint16_t port = 0;  ///< 0: none written
  std::optional<sip::Transport> transport{};  ///< of the URI's `transport` parameter
  bool secure = false;                        ///< sips: TLS and nothing else

  /// Nothing if it is no SIP URI, or its transport or host is none that we know. `maddr` stands for
  /// the host where it is given (RFC 3261 §19.1.1).
  static std::optional<TargetName> of_uri(const sip::Uri& uri);
  /// "sip:host:port;transport=tcp", from which `of_uri` makes the same again.
  std::string to_string() const;
  /// What it is reached by when the DNS says no more (RFC 3263 §4.1).
  sip::Transport default_transport() const;
  bool operator==(const TargetName&) const = default;
};

/// One place to try: an address over a transport.
struct Candidate {
  sip::Transport transport = sip::Transport::udp;
  Endpoint endpoint;
  std::string tls_name;  ///< name that a TLS certificate must hold: the URI's host (RFC 5922 §7.2)
  std::uint32_t identity = 0;  ///< Flow::identity over TLS

  sip::Flow flow() const { return sip::Flow::to(transport, endpoint, identity); }
  bool operator==(const Candidate&) const = default;
};

/// The addresses of one host that the DNS names for a service.
struct TargetGroup {
  sip::Transport transport = sip::Transport::udp;
  std::uint32_t rank = 0;    ///< lower ones first: place of the NAPTR record, then SRV priority
  std::uint16_t weight = 0;  ///< share among those of the same rank
  std::string host;
  std::vector<Endpoint> endpoints;
  std::string tls_name;
};

/// Which addresses and transports we have sockets for.
struct Reach {
  bool v4 = true, v6 = true;
  bool tcp = true, tls = true;

  bool supports(sip::Transport transport) const;
  bool supports(const IpAddress& address) const { return address.is_v4() ? v4 : v6; }
};

/// Every place of the groups, once, in the order in which this request shall try them: by rank, and
/// drawn by weight among equals (RFC 2782).
std::vector<Candidate> in_order(const std::vector<TargetGroup>& groups, Random& random);

/// Where a name leads whose host is that address; nowhere without a socket for it.
std::vector<TargetGroup> groups_at(const IpAddress& address, const TargetName& name, Reach reach);

/// Finds out where a URI leads (RFC 3263 §4) and keeps that up to date:
///
///     address ─────────────────────────────────────────────▶ known for ever
///     name:port ─────────────────────────────────▶ A, AAAA ─▶ known ──┐ 9/10 of the TTL
///     name;transport=x ──────────────────▶ SRV ──▶ A, AAAA ─▶ known   │
///     name ────────────────────▶ NAPTR ──▶ SRV ──▶ A, AAAA ─▶ known ◀─┘ asked again
///
/// Without SRV records the name's own addresses and the transport's default port are taken (§4.2).
/// When the DNS fails or finds nothing, what was known stays in use, and the DNS is asked again
/// soon. Pure: questions go out, answers come in.
class TargetLocator {
 public:
  TargetLocator(TargetName name, Reach reach);

  /// Asks when it is time to. To be called at the start and at `next_deadline`.
  void on_timeout(Instant now, std::vector<dns::Question>& out);
  /// An answer to whoever asked; one that was not asked for here is ignored.
  /// @return whether the look-up came to its end by it: groups() may have changed.
  bool on_answer(const dns::Question& question, const dns::Answer& answer, Instant now,
                 std::vector<dns::Question>& out);
  /// While answers are awaited there is none: each question is answered some time.
  std::optional<Instant> next_deadline() const;

  const TargetName& name() const { return name_; }
  bool asking() const { return !pending_.empty(); }
  bool settled() const { return settled_; }  ///< a look-up came to its end, well or not
  const std::vector<TargetGroup>& groups() const { return groups_; }
  /// Until when the groups hold; passed when the DNS fails. Instant::max(): for ever.
  Instant expires() const { return expires_; }
  /// What went wrong at the last look-up; "" if it went well.
  const std::string& problem() const { return problem_; }

 private:
  /// A service at a domain: an SRV question, or a host and port when there are no SRV records.
  struct Service {
    sip::Transport transport = sip::Transport::udp;
    std::string srv_name;
    std::vector<dns::SrvRecord> records{};
    dns::Status status = dns::Status::none;
  };
  struct Host {
    std::vector<IpAddress> v4{}, v6{};
    bool failed = false;
  };
  struct Round {
    std::vector<Service> services{};
    bool by_naptr = false;
    bool by_srv = false, srv_failed = false;
    std::vector<TargetGroup> groups{};
    std::map<std::string, Host> hosts{};
    seconds ttl{};
  };

  void ask(dns::Type type, const std::string& name, std::vector<dns::Question>& out);
  void on_naptr(const dns::Answer& answer, std::vector<dns::Question>& out);
  void on_srv(const std::string& name, const dns::Answer& answer, std::vector<dns::Question>& out);
  void on_addresses(const dns::Question& question, const dns::Answer& answer);
  void ask_services(std::vector<dns::Question>& out);
  void ask_hosts(std::vector<dns::Question>& out);
  void take_srv_groups();
  void fall_back_to_name();
  void finish(Instant now);
  void fill_endpoints();
  sip::Transport default_transport() const;

  TargetName name_;
  Reach reach_;
  Round round_;
  std::set<dns::Question> pending_;
  std::vector<TargetGroup> groups_;
  bool groups_by_srv_ = false;
  bool settled_ = false;
  Instant expires_{}, ask_at_{};
  std::string problem_;
};

}  // namespace isthmus::provider
