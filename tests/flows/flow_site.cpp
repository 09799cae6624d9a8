#include "flows/flow_site.hpp"

#include <algorithm>
#include <memory>

namespace isthmus::sim {

using sip::HeaderId;
using sip::Message;
using sip::Method;

namespace {

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProxy = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kCarol = *Endpoint::parse("198.51.100.11:5060");
const Endpoint kDave = *Endpoint::parse("198.51.100.12:5060");
const Endpoint kErin = *Endpoint::parse("198.51.100.13:5060");
const Endpoint kAnyMedia = *Endpoint::parse("10.0.0.1:40000");

}  // namespace

FlowSite::FlowSite()
    : world(GetParam()),
      gateway(world, kGateway, kProxy),
      proxy(world, kProxy, "example.org"),
      beyond(world, kBeyond, "other.example"),
      alice(world, "alice", kAnyMedia, 101),
      bob(world, "bob", kAnyMedia, 102),
      carol(world, "carol", kCarol, kProxy),
      dave(world, "dave", kDave, kProxy),
      erin(world, "erin", kErin, kProxy) {
  world.udp_loss = 0.1;
  world.udp_delay_min = milliseconds(5);
  world.udp_delay_max = milliseconds(60);
  world.attach_link(alice, 101, gateway.node, 1);
  world.attach_link(bob, 102, gateway.node, 2);
  gateway.router.add_session(1, {"alice", {"alice"}});
  gateway.router.add_session(2, {"bob", {"bob"}});
  for (Phone* phone : {&carol, &dave, &erin}) proxy.locations[phone->name] = phone->contact_uri();
}

void FlowSite::TearDown() {
  EXPECT_EQ(gateway.node.malformed, 0);
  nothing_left();
}

void FlowSite::nothing_left() {
  world.run_for(seconds(150));
  EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
  EXPECT_TRUE(gateway.node.media.ends.empty());
  EXPECT_EQ(gateway.node.bridge.transactions().open_client_transactions(), 0u);
  EXPECT_EQ(gateway.node.bridge.transactions().open_server_transactions(), 0u);
}

void FlowSite::registers(Phone& client) {
  client.register_at("example.org", 3600, client.password);
  EXPECT_TRUE(soon([&] { return client.last_register_status == 200; }));
}

FlowSite::Talk FlowSite::dial(Phone& caller, Phone& callee,
                              std::vector<std::pair<std::string, std::string>> headers) {
  return {caller, callee, caller.call("sip:" + callee.name + "@example.org", std::move(headers))};
}

void FlowSite::rings(const Talk& talk) {
  EXPECT_TRUE(soon([&] { return talk.callee.find(talk.id) != nullptr; })) << "no ringing";
}

void FlowSite::answered(const Talk& talk) {
  EXPECT_TRUE(soon([&] {
    const Phone::CallState* callee = talk.callee.find(talk.id);
    return talk.caller.find(talk.id)->confirmed && callee && callee->confirmed;
  })) << talk.caller.name
      << " and " << talk.callee.name << " do not talk";
  for (Phone* phone : {&talk.caller, &talk.callee}) {
    ASSERT_TRUE(phone->find(talk.id));
    EXPECT_NE(phone->find(talk.id)->remote_sdp.find("m=audio "), std::string::npos);
  }
}

FlowSite::Talk FlowSite::talk(Phone& caller, Phone& callee) {
  Talk talk = dial(caller, callee);
  answered(talk);
  return talk;
}

void FlowSite::refused(const Talk& talk, int status) {
  EXPECT_TRUE(soon([&] { return talk.caller.find(talk.id)->final_status != 0; }));
  EXPECT_EQ(talk.caller.find(talk.id)->final_status, status);
}

void FlowSite::hang_up(Phone& by, const Talk& talk) {
  by.hang_up(talk.id);
  ended(talk);
}

void FlowSite::ended(const Talk& talk) {
  EXPECT_TRUE(soon([&] {
    return talk.caller.find(talk.id)->ended && talk.callee.find(talk.id)->ended;
  })) << talk.caller.name
      << " and " << talk.callee.name << " still talk";
}

void FlowSite::hold(Phone& by, const Talk& talk) {
  by.hold(talk.id);
  EXPECT_TRUE(soon([&] { return by.find(talk.id)->final_status == 200; }));
  EXPECT_TRUE(is_held(other(by, talk), talk));
  EXPECT_NE(by.find(talk.id)->remote_sdp.find("a=recvonly"), std::string::npos);
}

void FlowSite::resume(Phone& by, const Talk& talk) {
  by.hold(talk.id, false);
  EXPECT_TRUE(soon([&] { return by.find(talk.id)->final_status == 200; }));
  EXPECT_FALSE(is_held(other(by, talk), talk));
}

bool FlowSite::is_held(Phone& phone, const Talk& talk) {
  return phone.find(talk.id)->remote_sdp.find("a=sendonly") != std::string::npos;
}

std::string FlowSite::replaces_at(Phone& phone, const Talk& talk) {
  const sip::Dialog& dialog = phone.find(talk.id)->dialog;
  return dialog.call_id + ";to-tag=" + dialog.local_tag + ";from-tag=" + dialog.remote_tag;
}

std::string FlowSite::replaces_in_uri(Phone& phone, const Talk& talk) {
  std::string out;
  for (char c : replaces_at(phone, talk)) {
    if (c == ';')
      out += "%3B";
    else if (c == '=')
      out += "%3D";
    else if (c == '@')
      out += "%40";
    else
      out += c;
  }
  return out;
}

bool FlowSite::refer(Phone& by, const Talk& talk, const std::string& refer_to) {
  Message refer = by.find(talk.id)->dialog.request("REFER");
  refer.add(HeaderId::contact, "<" + by.contact_uri() + ">");
  refer.add(HeaderId::refer_to, "<" + refer_to + ">");
  refer.add(HeaderId::referred_by, "<" + by.aor() + ">");
  const std::string cseq(*refer.get(HeaderId::cseq));
  by.send_request(std::move(refer));
  const auto answer = [&] {
    return std::find_if(by.responses.begin(), by.responses.end(), [&](const Message& response) {
      return response.get(HeaderId::cseq) == cseq && response.status() >= 200;
    });
  };
  return soon([&] { return answer() != by.responses.end(); }) && answer()->status() == 202;
}

void FlowSite::follows_refer(Phone& phone) {
  phone.on_each_request = [&phone](const Message& request) -> std::optional<Message> {
    if (request.method() != Method::refer) return std::nullopt;
    const std::string referrer(request.call_id());
    const auto target = sip::NameAddr::parse(*request.get(HeaderId::refer_to));
    auto uri = *sip::Uri::parse(target->uri);
    std::vector<std::pair<std::string, std::string>> headers;
    if (uri.headers.starts_with("Replaces="))
      headers.emplace_back("Replaces", sip::percent_decode(uri.headers.substr(9)));
    uri.headers.clear();
    headers.emplace_back("Referred-By", std::string(*request.get(HeaderId::referred_by)));
    Message accepted = Message::response_to(request, 202, {}, "refer" + phone.name);
    accepted.add(HeaderId::contact, "<" + phone.contact_uri() + ">");
    // Of a REFER outside a call. Inside one, CSeq numbers go on from where the call is.
    auto own = std::make_shared<sip::Dialog>(sip::Dialog::as_uas(request, "refer" + phone.name));
    const auto report = [&phone, own, referrer](const std::string& line, bool last) {
      Phone::CallState* call = phone.find(referrer);
      Message note = (call ? call->dialog : *own).request("NOTIFY");
      note.add(HeaderId::event, "refer");
      note.add(HeaderId::subscription_state,
               last ? "terminated;reason=noresource" : "active;expires=60");
      note.add(HeaderId::contact, "<" + phone.contact_uri() + ">");
      note.set_body("SIP/2.0 " + line + "\r\n", "message/sipfrag;version=2.0");
      phone.send_request(std::move(note));
    };
    phone.later(milliseconds(20), [&phone, report, headers, to = uri.to_string()] {
      report("100 Trying", false);
      const std::string id = phone.call(to, headers);
      // Looks every now and then whether the call is up.
      auto look = std::make_shared<std::function<void()>>();
      *look = [&phone, report, id, look] {
        const Phone::CallState* call = phone.find(id);
        if (call->final_status == 0) {
          phone.later(milliseconds(200), *look);
        } else {
          report(call->final_status == 200 ? "200 OK" : std::to_string(call->final_status) + " No",
                 true);
          phone.later(seconds(1), [look] { *look = nullptr; });
        }
      };
      phone.later(milliseconds(200), *look);
    });
    return accepted;
  };
}

void FlowSite::follows_replaces(Phone& phone) {
  phone.on_each_request = [&phone](const Message& request) -> std::optional<Message> {
    const auto replaces = request.get(HeaderId::replaces);
    if (request.method() != Method::invite || !replaces) return std::nullopt;
    const std::string value(*replaces);
    const std::string old = value.substr(0, value.find(';'));
    const Phone::CallState* call = phone.find(old);
    if (!call || call->ended) return Message::response_to(request, 481, {}, "none");
    const bool early = !call->confirmed;
    const std::string own_tag = early ? call->invite.from_tag() : call->dialog.local_tag;
    if (value.find(";to-tag=" + own_tag) == std::string::npos ||
        (!early && value.find(";from-tag=" + call->dialog.remote_tag) == std::string::npos))
      return Message::response_to(request, 481, {}, "none");
    phone.later(seconds(1), [&phone, old, early] {
      if (early) {
        phone.cancel(old);
      } else if (!phone.find(old)->ended) {
        phone.hang_up(old);
      }
    });
    return std::nullopt;  // answers as any call
  };
}

std::vector<std::string> FlowSite::progress_seen(Phone& phone) {
  std::vector<std::string> lines;
  for (const Message& request : phone.requests) {
    if (request.method() != Method::notify || request.content_type() != "message/sipfrag") continue;
    const std::string body(request.body());
    lines.push_back(body.substr(8, body.find("\r\n") - 8));
  }
  return lines;
}

void FlowSite::accepts_subscriptions(Phone& phone) {
  phone.on_each_request = [this, &phone](const Message& request) -> std::optional<Message> {
    if (request.method() != Method::subscribe) return std::nullopt;
    Message accepted = Message::response_to(request, 200, {}, "sub" + phone.name);
    for (auto value : request.fields(HeaderId::record_route))
      accepted.add(HeaderId::record_route, value);
    accepted.add(HeaderId::contact, "<" + phone.contact_uri() + ">");
    accepted.add(HeaderId::expires, "600");
    if (request.to_tag().empty())
      subscriptions_[&phone] = sip::Dialog::as_uas(request, "sub" + phone.name);
    return accepted;
  };
}

Message FlowSite::subscribe(Phone& watcher, Phone& watched, std::string_view event) {
  Message request = watcher.new_request("SUBSCRIBE", "sip:" + watched.name + "@example.org");
  request.add(HeaderId::event, event);
  request.add(HeaderId::expires, "600");
  const std::string id(request.call_id());
  watcher.send_request(std::move(request));
  EXPECT_TRUE(
      soon([&] { return !watcher.responses.empty() && watcher.responses.back().call_id() == id; }));
  EXPECT_EQ(watcher.responses.back().status(), 200);
  return watcher.responses.back();
}

void FlowSite::notify(Phone& watched, std::string_view event, std::string_view state,
                      std::string_view body, std::string_view type) {
  Message note = subscriptions_.at(&watched).request("NOTIFY");
  note.add(HeaderId::event, event);
  note.add(HeaderId::subscription_state, state);
  note.add(HeaderId::contact, "<" + watched.contact_uri() + ">");
  if (!body.empty()) note.set_body(body, type);
  const std::size_t answers = watched.responses.size();
  watched.send_request(std::move(note));
  EXPECT_TRUE(soon([&] { return watched.responses.size() > answers; }));
  EXPECT_EQ(watched.responses.back().status(), 200);
}

}  // namespace isthmus::sim
