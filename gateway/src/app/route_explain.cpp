#include "app/route_explain.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>

#include "app/router_setup.hpp"
#include "base/text.hpp"
#include "call/secure_route.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace json = boost::json;

namespace {

constexpr std::uint64_t kQuestionSession = ~std::uint64_t{0};  // no session gets that far

struct Source {
  sip::Flow flow;
  std::string uri;  ///< that speaks from there, when the question names none
};

/// Where the question comes from; a session is added for a user. Nothing: there is no such source.
std::optional<Source> source_of(provider::GatewayRouter& router, const ops::GatewayConfig& config,
                                const std::string& text, std::string& fault) {
  std::string_view rest = text;
  if (rest.empty() || rest.starts_with("link:")) {
    std::string user(rest.empty() ? std::string_view() : rest.substr(5));
    if (user.empty()) user = config.users.empty() ? "demo" : config.users.front().name;
    std::vector<std::string> aors{user};
    for (const ops::UserConfig& known : config.users) {
      if (known.name == user) aors = known.aors;
    }
    std::string speaks_as = aors.front() == "*" ? user : aors.front();
    router.add_session(kQuestionSession,
                       identity_of(config, user, aors, IpAddress::v4(0x7f000001)));
    return Source{sip::Flow::link(kQuestionSession), "sip:" + speaks_as + "@" + config.domain};
  }
  if (rest.starts_with("provider:")) {
    for (const provider::Provider& provider : router.providers()) {
      if (provider.name != rest.substr(9)) continue;
      if (provider.addresses.empty()) {
        fault = "the address of provider " + provider.name + " is not known yet";
        return std::nullopt;
      }
      std::string domain = provider.domains.empty() ? "invalid.invalid" : provider.domains.front();
      return Source{sip::Flow::udp(provider.addresses.front()), "sip:anonymous@" + domain};
    }
    fault = "there is no provider " + std::string(rest.substr(9));
    return std::nullopt;
  }
  std::optional<Endpoint> endpoint = Endpoint::parse(rest);
  if (auto address = IpAddress::parse(rest); !endpoint && address) {
    endpoint = Endpoint{*address, 5060};
  }
  if (endpoint) {
    return Source{sip::Flow::udp(*endpoint), "sip:anonymous@" + endpoint->address.to_uri_host()};
  }
  fault = "the source is none of link:USER, provider:NAME, ADDRESS";
  return std::nullopt;
}

sip::Message request_of(const RouteQuestion& question, const std::string& from) {
  sip::Message request = sip::Message::request(question.method, question.uri);
  request.add(sip::HeaderId::via, "SIP/2.0/UDP explain.invalid;branch=z9hG4bKexplain");
  request.add(sip::HeaderId::max_forwards, "70");
  request.add(sip::HeaderId::from, "<" + from + ">;tag=explain");
  request.add(sip::HeaderId::to, "<" + question.uri + ">");
  request.add(sip::HeaderId::call_id, "explain");
  request.add(sip::HeaderId::cseq, "1 " + question.method);
  for (const std::string& line : question.headers) {
    std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    request.add(trim(std::string_view(line).substr(0, colon)),
                trim(std::string_view(line).substr(colon + 1)));
  }
  return request;
}

/// "Name: value" lines that one message has more often than the other.
json::array lines_beyond(const sip::Message& message, const sip::Message& other) {
  auto lines = [](const sip::Message& of) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < of.field_count(); ++i) {
      out.push_back(std::string(of.field(i).name) + ": " + std::string(of.field(i).value));
    }
    return out;
  };
  std::vector<std::string> left = lines(other);
  json::array beyond;
  for (std::string& line : lines(message)) {
    auto found = std::find(left.begin(), left.end(), line);
    if (found == left.end()) {
      beyond.push_back(json::string(line));
    } else {
      left.erase(found);
    }
  }
  return beyond;
}

json::object describe(const provider::GatewayRouter& router, const sip::Message& request,
                      const sip::Flow& from, const call::RouteTarget& target) {
  sip::Message out = request;
  if (!target.request_uri.empty()) out.set_request_uri(target.request_uri);
  for (const auto& [name, value] : target.headers) out.set(name, value);
  router.dress(out, target.flow, &from);
  json::object place{{target.flow.is_link() ? "user" : "provider", router.owner_of(target.flow)},
                     {"flow", target.flow.to_string()},
                     {"request_uri", std::string(out.request_uri())}};
  json::array added = lines_beyond(out, request), removed = lines_beyond(request, out);
  if (!added.empty()) place["headers_added"] = std::move(added);
  if (!removed.empty()) place["headers_removed"] = std::move(removed);
  return place;
}

json::array describe_all(const provider::GatewayRouter& router, const sip::Message& request,
                         const sip::Flow& from, const call::RouteTargets& targets) {
  json::array places;
  for (const call::RouteTarget& target : targets.targets) {
    json::object place = describe(router, request, from, target);
    json::array next;
    for (const call::RouteTarget& other : target.alternatives) {
      next.push_back(describe(router, request, from, other));
    }
    if (!next.empty()) place["then"] = std::move(next);
    places.push_back(std::move(place));
  }
  return places;
}

void put_result(json::object& out, const provider::GatewayRouter& router,
                const sip::Message& request, const sip::Flow& from, const call::Route& route) {
  if (auto* targets = std::get_if<call::RouteTargets>(&route)) {
    out["result"] = "targets";
    out["targets"] = describe_all(router, request, from, *targets);
    if (!targets->failover_on.empty()) {
      json::array statuses;
      for (int status : targets->failover_on) statuses.push_back(status);
      out["failover_on"] = std::move(statuses);
    }
  } else if (auto* rejection = std::get_if<call::RouteRejection>(&route)) {
    out["result"] = "rejected";
    out["status"] = rejection->status;
    out["reason"] = rejection->reason.empty() ? std::string(sip::reason_phrase(rejection->status))
                                              : rejection->reason;
    if (rejection->retry_after_s > 0) out["retry_after_s"] = rejection->retry_after_s;
  } else if (auto* pending = std::get_if<call::RoutePending>(&route)) {
    out["result"] = "pending";
    out["lookup"] = pending->lookup;
  } else if (auto* wait = std::get_if<call::RouteWait>(&route)) {
    out["result"] = "waits";
    out["user"] = wait->user;
    out["wait_s"] = std::chrono::duration_cast<seconds>(wait->limit).count();
  } else if (auto* service = std::get_if<call::RouteToService>(&route)) {
    out["result"] = "service";
    out["service"] = service->service == call::MediaService::echo ? "echo" : "tone";
  } else {
    out["result"] = "registrar";
  }
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value) return {};
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

void append_place(std::string& out, const json::object& place, const char* head) {
  std::string whom = place.contains("provider") ? "provider " + text_of(place, "provider")
                                                : "a device of " + text_of(place, "user");
  out += std::string(head) + whom + " (" + text_of(place, "flow") + ")\n";
  out += "      " + text_of(place, "request_uri") + "\n";
  for (const char* list : {"headers_removed", "headers_added"}) {
    const json::value* lines = place.if_contains(list);
    if (!lines) continue;
    for (const json::value& line : lines->get_array()) {
      out += std::string(list[8] == 'r' ? "      - " : "      + ") +
             std::string(line.get_string()) + "\n";
    }
  }
}

}  // namespace

json::object explain_route(provider::GatewayRouter& router, const ops::GatewayConfig& config,
                           const RouteQuestion& question, Instant now) {
  json::object out{{"uri", question.uri}, {"method", question.method}};
  std::string fault;
  std::optional<Source> source = source_of(router, config, question.source, fault);
  if (!source) return {{"fault", fault}};
  sip::Message request = request_of(question, question.from.empty() ? source->uri : question.from);
  if (auto unsound = request.check()) {
    router.remove_session(kQuestionSession);
    return {{"fault", unsound->reason()}};
  }
  provider::RouteTrace trace;
  call::Route route = router.explain(request, source->flow, now, trace);
  if (auto* targets = std::get_if<call::RouteTargets>(&route);
      targets && !targets->targets.empty()) {
    call::keep_secure(*targets, request, router);
    if (targets->targets.empty())
      route = call::RouteRejection{480, "SIPS Not Allowed: no place is reached by TLS"};
  }
  out["from"] = request.from()->uri;
  out["source"] = source->flow.is_link() ? "link of " + router.owner_of(source->flow)
                                         : "provider " + router.owner_of(source->flow);
  json::array steps;
  for (const provider::RouteTrace::Step& step : trace.steps) {
    steps.push_back(
        json::object{{"rule", step.rule}, {"matched", step.matched}, {"text", step.text}});
  }
  out["rules"] = std::move(steps);
  out["decided_by"] = trace.decided_by;
  put_result(out, router, request, source->flow, route);
  router.remove_session(kQuestionSession);
  return out;
}

std::string to_text(const json::object& explanation) {
  if (explanation.contains("fault")) return text_of(explanation, "fault") + "\n";
  std::string out = text_of(explanation, "method") + " " + text_of(explanation, "uri") + " from " +
                    text_of(explanation, "from") + " by " + text_of(explanation, "source") + "\n";
  for (const json::value& value : explanation.at("rules").get_array()) {
    const json::object& step = value.get_object();
    bool matched = step.at("matched").get_bool();
    std::string rule = text_of(step, "rule");
    out += (matched ? "  * " : "  - ") + (rule.empty() ? "" : rule + ": ") + text_of(step, "text") +
           "\n";
  }
  out += "decided by: " + text_of(explanation, "decided_by") + "\n";
  if (const json::value* assumed = explanation.if_contains("assumed")) {
    for (const json::value& line : assumed->get_array()) {
      out += "  assumed: " + std::string(line.get_string()) + "\n";
    }
  }
  std::string result = text_of(explanation, "result");
  if (result == "targets") {
    for (const json::value& place : explanation.at("targets").get_array()) {
      append_place(out, place.get_object(), "  to ");
      const json::value* then = place.get_object().if_contains("then");
      if (!then) continue;
      for (const json::value& next : then->get_array()) {
        append_place(out, next.get_object(), "  then ");
      }
    }
    if (explanation.contains("failover_on")) {
      out += "  another provider after " + text_of(explanation, "failover_on") +
             ", silence or a broken connection\n";
    }
  } else if (result == "rejected") {
    out += "  rejected: " + text_of(explanation, "status") + " " + text_of(explanation, "reason") +
           "\n";
  } else if (result == "pending") {
    out += "  asks first for " + text_of(explanation, "lookup") + "\n";
  } else if (result == "waits") {
    out += "  waits " + text_of(explanation, "wait_s") + " s for a device of " +
           text_of(explanation, "user") + "\n";
  } else if (result == "service") {
    out += "  answered by the service " + text_of(explanation, "service") + "\n";
  } else {
    out += "  answered by the built-in registrar\n";
  }
  return out;
}

int route_explain_command(const ops::GatewayConfig& config, const RouteQuestion& question,
                          bool as_json) {
  call::BindingTable bindings(Bytes(32, 0));
  provider::GatewayRouter::Config setup = router_config(config);
  setup.own_hosts = configured_hosts(config);
  provider::GatewayRouter router(std::move(setup), bindings);
  std::vector<provider::Provider> providers;
  for (std::size_t i = 0; i < config.providers.size(); ++i) {
    provider::Provider provider = provider_of(config, config.providers[i]);
    if (provider.addresses.empty()) {
      // Its name is not looked up here; an address that no one has (RFC 5737) stands for it.
      auto stand_in = IpAddress::v4(0xC0000200 + static_cast<std::uint32_t>(i % 256));
      provider.addresses = {Endpoint{stand_in, config.providers[i].target.port_or_default()}};
    }
    providers.push_back(std::move(provider));
  }
  router.set_providers(std::move(providers));
  Instant now = net::clock_now();
  json::object explanation = explain_route(router, config, question, now);
  json::array assumed;
  // The DNS is not asked here. A number is taken to have no address, by which the rules go on;
  // each step settles one number, so the rules' count bounds the steps.
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    auto number = provider::EnumCache::number_of_key(text_of(explanation, "lookup"));
    if (!number) break;
    assumed.push_back(json::string("+" + *number + " has no ENUM record (not asked here)"));
    router.enum_cache().set(*number, {}, now + seconds(60), now);
    explanation = explain_route(router, config, question, now);
  }
  if (!assumed.empty()) explanation["assumed"] = std::move(assumed);
  std::cout << (as_json ? json::serialize(explanation) + "\n" : to_text(explanation)) << std::flush;
  bool refused = explanation.contains("fault") || text_of(explanation, "result") == "rejected";
  return refused ? 1 : 0;
}

}  // namespace isthmus::app
