#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sip/dialog.hpp"
#include "sip/digest.hpp"
#include "sip/transaction_layer.hpp"
#include "support/sim_world.hpp"

namespace isthmus::sim {

/// A user agent in a simulated world, over UDP or over a link: enough of RFC 3261 to place and take
/// calls, put them on hold, end them, register, and to be told how to behave. Also plays the
/// provider, with a location table.
class Phone : public Node {
 public:
  struct CallState {
    sip::Dialog dialog;
    sip::TransactionId invite_client = 0, invite_server = 0;
    sip::Message invite = sip::Message::request("INVITE", "sip:invalid.invalid");
    std::string answer_sdp, remote_sdp;
    bool confirmed = false, ended = false;
    int final_status = 0;
    std::vector<int> provisional;
    std::optional<Instant> resend_at;
    Duration resend_after{};
    Instant answered_at{};
    std::string last_ok;
    bool caller = false;
  };

  Phone(World& world, std::string name, Endpoint udp, Endpoint next_hop);  ///< over UDP
  Phone(World& world, std::string name, Endpoint media,
        std::uint64_t link_session);  ///< over a link

  // What it does when it is called
  int answer_with = 200;  ///< final status; 0: rings for ever
  Duration answer_after = milliseconds(300);
  bool ring = true;
  bool early_media = false;             ///< 183 with the answer before the 200
  bool late_offer = false;              ///< its own INVITEs carry no description
  std::string record_route;             ///< adds this Record-Route to what it forwards to itself
  std::optional<std::string> redirect;  ///< Contact of a 3xx
  std::string software;                 ///< User-Agent of its requests; empty: none
  /// Sees each request first. @return whether it took it: then it answers.
  std::function<bool(sip::TransactionId, const sip::Message&)> intercept;
  std::string password;  ///< answers challenges of its INVITEs with it
  /// Sees each request before the phone does; a response it gives is sent in place of the phone's
  /// own.
  std::function<std::optional<sip::Message>(const sip::Message&)> on_each_request;

  /// Starts a call. @return its Call-ID.
  std::string call(std::string_view uri,
                   std::vector<std::pair<std::string, std::string>> extra = {});
  void cancel(const std::string& call_id);
  void hang_up(const std::string& call_id);
  void hold(const std::string& call_id, bool on = true);
  void reinvite(const std::string& call_id, sip::Message invite);
  void send_in_dialog(const std::string& call_id, std::string_view method,
                      std::string_view body = {}, std::string_view content_type = {},
                      const std::vector<std::pair<std::string, std::string>>& extra = {});
  /// Answers a request that `intercept` took.
  void respond(sip::TransactionId server, sip::Message response);
  /// Registers its address of record; @return final status when the world has run (see
  /// last_register_status).
  void register_at(std::string_view domain, std::uint32_t expires_s = 3600,
                   std::string secret = {});
  void send_request(sip::Message request);
  /// Does that after so long.
  void later(Duration span, std::function<void()> what);
  sip::Message new_request(std::string_view method, std::string_view uri,
                           std::string_view to_uri = {});

  void on_udp(const Endpoint& from, const Endpoint& to, std::string bytes, Instant now) override;
  void on_link(std::uint64_t session, std::string bytes, Instant now) override;
  void on_timeout(Instant now) override;
  std::optional<Instant> next_deadline() const override;

  CallState* find(const std::string& call_id);
  CallState* only_call();
  std::string contact_uri() const;
  std::string aor() const { return "sip:" + name + "@" + domain; }

  std::string name, domain = "example.org";
  std::map<std::string, CallState> calls;
  std::vector<sip::Message> requests;   ///< all that came, in order
  std::vector<sip::Message> responses;  ///< finals to send_request(), and all to INVITE
  int last_register_status = 0;
  sip::Message last_register_response = sip::Message::response(100);
  /// Playing a registrar: challenge, then keep contacts; playing a proxy: INVITEs to a kept AOR go
  /// to its contact.
  bool is_registrar = false;
  std::map<std::string, std::string> accounts;   ///< user → password
  std::map<std::string, std::string> locations;  ///< user → contact URI

 private:
  struct Pending {
    Instant at;
    std::function<void()> run;
  };
  void handle(std::string bytes, const sip::Flow& flow);
  void drain();
  void on_request(sip::TransactionId server, const sip::Flow& flow, sip::Message request);
  void on_invite(sip::TransactionId server, sip::Message request);
  void on_register(sip::TransactionId server, const sip::Message& request);
  void on_response(sip::TransactionId client, const sip::Message& response);
  void on_invite_response(CallState& call, const sip::Message& response);
  bool authorize_invite(CallState& call, const sip::Message& challenge);
  void answer(const std::string& call_id, sip::TransactionId server, sip::Message request);
  sip::TransactionId send(sip::Message request);
  void send_bytes(const sip::Flow& flow, std::string bytes);
  std::string sdp(std::string_view direction = "sendrecv") const;
  std::string sent_by() const;

  World& world_;
  SeededRandom random_;

 public:
  sip::TransactionLayer layer;  ///< after the randomness it uses

 private:
  Endpoint udp_, next_hop_;
  std::optional<std::uint64_t> session_;
  sip::TransactionEvents events_;
  std::vector<Pending> pending_;
  std::map<sip::TransactionId, std::string> clients_;  ///< → Call-ID
  std::optional<sip::DigestClient> digest_;
  sip::Message register_request_ = sip::Message::request("REGISTER", "sip:invalid.invalid");
  std::uint32_t cseq_ = 0;
  std::string register_call_id_;
  bool draining_ = false;
};

}  // namespace isthmus::sim
