#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "provider/registration_machine.hpp"
#include "sip/digest.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::provider {

/// Whom to register where, as what.
struct RegistrationConfig {
  std::string registrar;  ///< Request-URI: "sip:example.net"
  std::string aor;        ///< "sip:alice@example.net"
  std::string auth_user, password;
  std::string contact_user;  ///< user part of our Contact
  std::uint32_t expires_s = 3600;
  std::string instance;  ///< "urn:uuid:…": asks for an outbound flow (RFC 5626); empty: does not
};

/// Keeps one address of record registered with a registrar upstream: REGISTERs and their answers,
/// refresh before expiry, back-off after failures (RFC 5626 §4.5). Pure; what to send comes out of
/// each call, and at most one REGISTER is open.
class RegistrationClient {
 public:
  RegistrationClient(RegistrationConfig config, Random& random);

  std::optional<sip::Message> start(Instant now);
  std::optional<sip::Message> stop(Instant now);
  /// The registrar, or the way to it, came back after an absence: it may have forgotten. Not
  /// obeyed after a refusal, whose waiting time stands.
  std::optional<sip::Message> renew(Instant now);
  std::optional<sip::Message> on_timeout(Instant now);
  /// @param response  final, to the REGISTER that is open; nothing: none came.
  /// @param flow  where it came from
  std::optional<sip::Message> on_response(const sip::Message* response, const sip::Flow& flow,
                                          Instant now);
  std::optional<Instant> next_deadline() const;

  const RegistrationConfig& config() const { return config_; }
  RegistrationMachine::State state() const { return machine_.state(); }
  /// A binding of ours stands at the registrar, as far as it said.
  bool bound(Instant now) const { return bound_until_ && *bound_until_ > now; }
  std::optional<Instant> bound_until() const { return bound_until_; }
  /// Where the registrar sent us (3xx); empty: nowhere else.
  const std::string& redirect() const { return redirect_; }
  const sip::Flow& flow() const { return flow_; }  ///< that the last 2xx came on
  /// Values for the Route header of requests from this address (RFC 3608), in order.
  const std::vector<std::string>& service_route() const { return service_route_; }
  unsigned failures() const { return failures_; }           ///< in a row
  const std::string& last_error() const { return error_; }  ///< "403 Forbidden"; "" after a 2xx

 private:
  std::optional<sip::Message> carry_out(RegistrationMachine::Send send);
  sip::Message make_register(std::uint32_t expires_s);
  RegistrationMachine::Input judge(const sip::Message& response);
  bool take_min_expires(const sip::Message& response);
  bool take_redirect(const sip::Message& response);
  void take_binding(const sip::Message& response, Instant now);
  void back_off(const sip::Message* response, Instant now);
  Duration refresh_after(std::uint32_t granted_s);
  /// Uniform in [low, high], in milliseconds.
  Duration between(Duration low, Duration high);

  RegistrationConfig config_;
  Random& random_;
  RegistrationMachine machine_;
  sip::DigestClient digest_;
  sip::Message sent_;      ///< the REGISTER that is open, or was last
  sip::Message prepared_;  ///< the next one, with credentials for the challenge that came
  bool has_prepared_ = false;
  bool sent_removal_ = false;
  std::string call_id_, from_tag_;
  std::uint32_t cseq_ = 0;
  std::uint32_t expires_s_;  ///< asked for: as configured, or what a 423 demands
  std::string redirect_;
  unsigned tries_ = 0;  ///< challenges and the like, in a row
  unsigned failures_ = 0;
  bool refused_ = false;  ///< the registrar said no, rather than nothing
  std::string error_;
  std::vector<std::string> service_route_;
  sip::Flow flow_;
  std::optional<Instant> bound_until_, due_;
};

}  // namespace isthmus::provider
