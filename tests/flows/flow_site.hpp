#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"
#include "support/sim_proxy.hpp"

/// The stage and the words of the call flow tests: on virtual time, one run per seed.
namespace isthmus::sim {

/// alice and bob are clients, each on its own link of one gateway. carol, dave and erin are phones
/// of the provider "example.org", whose registrar and proxy stands between them and the gateway.
/// That side is UDP that loses every tenth datagram and delivers late and out of order.
inline const Endpoint kBeyond = *Endpoint::parse("198.51.100.2:5060");

struct FlowSite : testing::TestWithParam<std::uint64_t> {
  FlowSite();
  void TearDown() override;

  World world;
  GatewayNode gateway;
  Proxy proxy, beyond;  ///< the provider's, and one of "other.example" that it may pass calls to
  Phone alice, bob, carol, dave, erin;

  /// A call, by its two phones.
  struct Talk {
    Phone& caller;
    Phone& callee;
    std::string id;  ///< Call-ID, the same on both sides
  };

  void registers(Phone& client);  ///< at the provider, through the gateway
  Talk dial(Phone& caller, Phone& callee,
            std::vector<std::pair<std::string, std::string>> headers = {});
  void rings(const Talk& talk);             ///< the caller hears it
  void answered(const Talk& talk);          ///< both know, and know where to send media
  Talk talk(Phone& caller, Phone& callee);  ///< dial, and answered
  void refused(const Talk& talk, int status);
  void hang_up(Phone& by, const Talk& talk);  ///< and both have ended
  void ended(const Talk& talk);
  void hold(Phone& by, const Talk& talk);
  void resume(Phone& by, const Talk& talk);
  /// Whether `phone` was asked not to send.
  bool is_held(Phone& phone, const Talk& talk);
  Phone& other(Phone& phone, const Talk& talk) {
    return &phone == &talk.caller ? talk.callee : talk.caller;
  }

  /// "call-id;to-tag=…;from-tag=…" as Replaces and Join name the call to `phone` (RFC 3891 §3).
  std::string replaces_at(Phone& phone, const Talk& talk);
  std::string replaces_in_uri(Phone& phone, const Talk& talk);  ///< escaped, for Refer-To
  /// Sends REFER in the call. @return whether it was accepted.
  bool refer(Phone& by, const Talk& talk, const std::string& refer_to);
  /// From now on the phone does what REFER asks, and tells how it goes (RFC 3515).
  void follows_refer(Phone& phone);
  /// From now on an INVITE with Replaces takes over the call that it names (RFC 3891).
  void follows_replaces(Phone& phone);
  /// Status lines of the message/sipfrag bodies that came in NOTIFYs.
  std::vector<std::string> progress_seen(Phone& phone);

  /// Sends SUBSCRIBE for an event and waits for the 2xx; `notifier` has to answer it.
  sip::Message subscribe(Phone& watcher, Phone& watched, std::string_view event);
  /// From now on the phone accepts subscriptions.
  void accepts_subscriptions(Phone& phone);
  void notify(Phone& watched, std::string_view event, std::string_view state,
              std::string_view body = {}, std::string_view type = {});

  bool soon(const std::function<bool()>& condition) {
    return world.run_until(condition, std::chrono::minutes(2));
  }
  void nothing_left();

 private:
  std::map<const Phone*, sip::Dialog> subscriptions_;
};

inline std::string name_of_seed(const testing::TestParamInfo<std::uint64_t>& info) {
  return "seed_" + std::to_string(info.param);
}

}  // namespace isthmus::sim
