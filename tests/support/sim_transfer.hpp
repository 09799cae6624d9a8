#pragma once
#include <map>
#include <string>

#include "support/sim_phone.hpp"

namespace isthmus::sim {

/// Teaches a phone to be transferred: it does what a REFER asks (RFC 3515) and reports on it, and
/// takes calls that replace one of its own (RFC 3891).
class Transferable {
 public:
  explicit Transferable(Phone& phone) : phone_(phone) {
    phone.intercept = [this](sip::TransactionId server, const sip::Message& request) {
      if (request.method() == sip::Method::refer) return on_refer(server, request);
      return request.method() == sip::Method::invite && request.to_tag().empty() &&
             request.has(sip::HeaderId::replaces) && on_replacing_invite(server, request);
    };
  }

  std::string placed;       ///< Call-ID of the call that it was told to make
  std::string referred_in;  ///< Call-ID of the dialog that the REFER came in
  int unmatched = 0;        ///< Replaces that named none of its dialogs

  /// Tells the referrer how the call went.
  void report(std::string_view status = "SIP/2.0 200 OK") {
    notify("terminated;reason=noresource", status);
  }
  /// Hangs up what a new call, now answered, has replaced.
  void drop_replaced() {
    for (const auto& [call_id, old] : replaced_) {
      if (phone_.find(call_id)->confirmed && !phone_.find(old)->ended) phone_.hang_up(old);
    }
  }

 private:
  bool on_refer(sip::TransactionId server, const sip::Message& request) {
    referred_in = std::string(request.call_id());
    id_ = std::to_string(request.cseq()->number);
    sip::Message accepted = sip::Message::response_to(request, 202);
    accepted.add(sip::HeaderId::contact, "<" + phone_.contact_uri() + ">");
    phone_.respond(server, std::move(accepted));
    notify("active;expires=60", "SIP/2.0 100 Trying");
    auto refer_to = sip::NameAddr::parse(*request.get(sip::HeaderId::refer_to));
    auto uri = sip::Uri::parse(refer_to->uri);
    std::vector<std::pair<std::string, std::string>> headers;
    if (uri->headers.substr(0, 9) == "Replaces=") {
      std::string_view value = uri->headers;
      value = value.substr(9, value.find('&') - 9);
      headers.emplace_back("Replaces", sip::percent_decode(value));
    }
    uri->headers.clear();
    placed = phone_.call(uri->to_string(), headers);
    return true;
  }

  void notify(std::string_view state, std::string_view status) {
    std::string fragment(status);
    fragment += "\r\nContact: <" + phone_.contact_uri() + ">\r\n";
    phone_.send_in_dialog(
        referred_in, "NOTIFY", fragment, "message/sipfrag",
        {{"Event", "refer;id=" + id_}, {"Subscription-State", std::string(state)}});
  }

  bool on_replacing_invite(sip::TransactionId server, const sip::Message& request) {
    std::string_view value = *request.get(sip::HeaderId::replaces);
    std::string call_id(value.substr(0, value.find(';')));
    auto params = sip::Params::parse(value.substr(value.find(';')));
    Phone::CallState* old = phone_.find(call_id);
    if (old && params->get("to-tag") == old->dialog.local_tag &&
        params->get("from-tag") == old->dialog.remote_tag) {
      replaced_[std::string(request.call_id())] = call_id;
      return false;  // rings and is answered as any other
    }
    ++unmatched;
    phone_.respond(server, sip::Message::response_to(request, 481, {}, "nosuch"));
    return true;
  }

  Phone& phone_;
  std::string id_;
  std::map<std::string, std::string> replaced_;  ///< new Call-ID → old
};

}  // namespace isthmus::sim
