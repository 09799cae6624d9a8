#include "ops/routing_config_keys.hpp"

#include <algorithm>
#include <set>

#include "base/network.hpp"
#include "base/text.hpp"
#include "ops/config_checks.hpp"
#include "provider/user_pattern.hpp"

namespace isthmus::ops {
namespace {

/// Text that `problem_of` finds nothing wrong with.
template <typename ProblemOf>
Scalar judged(std::string& value, std::string type, std::string expected, ProblemOf problem_of) {
  return {std::move(type), std::move(expected),
          [&value, problem_of](const std::string& text, const FileAccess&) {
            std::optional<Problem> problem = problem_of(text);
            if (!problem) value = text;
            return problem;
          },
          [&value] { return value; }};
}

Scalar pattern(std::string& value) {
  return judged(value, "pattern",
                "a number or user part, a dial plan (\"_+49X.\") or a regular expression "
                "(\"/\\+49(.*)/\")",
                [](const std::string& text) -> std::optional<Problem> {
                  auto parsed = provider::UserPattern::parse(text);
                  if (parsed) return std::nullopt;
                  return Problem{"is no pattern (" + parsed.error().text + ")", {}};
                });
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

Scalar source(std::string& value) {
  return judged(value, "source", "links, providers, a provider's name, or a network",
                [](const std::string& text) -> std::optional<Problem> {
                  if (is_name(text) || Network::parse(text)) return std::nullopt;
                  return Problem{};
                });
}

Scalar destination(std::string& value) {
  return judged(value, "name", "a provider's name, local, service:echo or service:tone",
                [](const std::string& text) -> std::optional<Problem> {
                  if (is_name(text) || text == "service:echo" || text == "service:tone")
                    return std::nullopt;
                  return Problem{};
                });
}

Scalar method(std::string& value) {
  return judged(value, "method", "a SIP method in capitals",
                [](const std::string& text) -> std::optional<Problem> {
                  bool capitals = !text.empty() && text.size() <= 32 &&
                                  std::all_of(text.begin(), text.end(),
                                              [](char c) { return c >= 'A' && c <= 'Z'; });
                  return capitals ? std::nullopt : std::optional<Problem>(Problem{});
                });
}

/// Part of a user part: printable, no spaces, no characters that end it.
Scalar user_text(std::string& value) {
  return judged(value, "text", "characters of a user part, at most 128",
                [](const std::string& text) -> std::optional<Problem> {
                  bool sound =
                      text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
                        return c > ' ' && c <= '~' && c != '@' && c != '<' && c != '>' && c != '"';
                      });
                  return sound ? std::nullopt : std::optional<Problem>(Problem{});
                });
}

Scalar failure_status(std::uint32_t& value) {
  return count(value, 400, 699);
}

Scalar webhook_url(std::string& value) {
  return judged(value, "URL", "http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH",
                [](const std::string& text) -> std::optional<Problem> {
                  bool scheme = text.starts_with("http://") || text.starts_with("https://");
                  std::size_t host = text.find("://") + 3;
                  bool sound = scheme && text.size() > host && text[host] != '/' &&
                               text.find('@') == std::string::npos &&
                               std::all_of(text.begin(), text.end(),
                                           [](char c) { return c > ' ' && c <= '~'; });
                  return sound ? std::nullopt : std::optional<Problem>(Problem{});
                });
}

template <typename T>
ScalarList one_or_list_of(std::vector<T>& values, Scalar (*type)(T&)) {
  ScalarList out = list_of(values, type);
  out.type = out.type.substr(std::string_view("list of ").size()) + ", or list";
  out.one_alone = true;
  return out;
}

void visit_match(KeyVisitor& v, RouteMatchConfig& c) {
  v.values("source",
           {"Where the request comes from: `links` (clients), `providers`, the name of a provider, "
            "or a network that holds the client's or provider's address.",
            "", "links"},
           one_or_list_of(c.source, source));
  v.values("user", {"Users whose session it comes on.", "", "any"},
           one_or_list_of(c.user, user_name));
  v.values("method", {"Method of the request.", "", "any"}, one_or_list_of(c.method, method));
  v.value("domain", {"Domain of the Request-URI.", "", "any"}, domain_name(c.domain));
  v.value("user_prefix", {"Beginning of the user part or number.", "", "any"},
          user_prefix(c.user_prefix));
  v.values(
      "number",
      {"The user part or number that is called: the text itself; a dial plan after `_` with X "
       "(0-9), Z (1-9), N (2-9), `[1-57]`, `.` (one or more characters) and `!` (any number of "
       "them); or a regular expression of the whole between slashes.",
       "", "any"},
      one_or_list_of(c.number, pattern));
  v.values("caller", {"The same for the caller: user part or number of From.", "", "any"},
           one_or_list_of(c.caller, pattern));
}

void visit_rewrite(KeyVisitor& v, UserRewriteConfig& c) {
  v.value("strip", {"Characters to take off the beginning.", "characters"}, count(c.strip, 0, 128));
  v.value("prefix", {"What to put before it then.", "", "nothing"}, user_text(c.prefix));
  v.value("user",
          {"What to put in its place: `\\1` to `\\9` are what the groups of the matching pattern "
           "(or the `.` and `!` of a dial plan) stand for, `\\0` is the whole.",
           "", "as it is"},
          user_text(c.user));
  v.value("domain",
          {"Domain to put in its place; `provider`: the first domain of the provider that it goes "
           "to.",
           "", "as it is"},
          domain_name(c.domain));
}

std::string at(const char* list, std::size_t index, const char* key = "") {
  return std::string(list) + "[" + std::to_string(index) + "]" + key;
}
std::string in_quotes(const std::string& text) {
  return "\"" + text + "\"";
}

/// A replacement may refer to groups that every pattern has.
void check_references(const std::string& key, const std::string& replacement,
                      const std::vector<std::string>& patterns, CheckSink& sink) {
  std::size_t largest = provider::largest_reference(replacement).value_or(0);
  std::size_t groups = patterns.empty() ? 0 : 9;
  for (const std::string& text : patterns) {
    auto parsed = provider::UserPattern::parse(text);
    if (parsed) groups = std::min(groups, parsed->groups());
  }
  if (largest > groups) {
    sink.fault(key,
               "refers to \\" + std::to_string(largest) + ", but the patterns have " +
                   std::to_string(groups) + " groups",
               "groups that each pattern of the rule's match has");
  }
}

class RouteChecker {
 public:
  RouteChecker(const GatewayConfig& config, CheckSink& sink) : sink_(sink) {
    for (const ProviderConfig& provider : config.providers) providers_.insert(provider.name);
  }

  void check(const RouteConfig& route, std::size_t i) const {
    check_deed(route, i);
    check_destinations(route, i);
    for (const std::string& source : route.match.source) {
      if (source == "links" || source == "providers" || Network::parse(source)) continue;
      if (!providers_.contains(source)) {
        sink_.fault(at("routes", i, ".match.source"),
                    "holds " + in_quotes(source) + ", which is no provider",
                    "links, providers, a network, " + known_providers());
      }
    }
    check_references(at("routes", i, ".rewrite.user"), route.rewrite.user, route.match.number,
                     sink_);
    check_references(at("routes", i, ".caller.user"), route.caller.user, route.match.caller, sink_);
    check_rewrite(route.rewrite, at("routes", i, ".rewrite"));
    check_rewrite(route.caller, at("routes", i, ".caller"));
  }

 private:
  std::string known_providers() const {
    std::string known;
    for (const std::string& name : providers_)
      known += (known.empty() ? "" : " or ") + in_quotes(name);
    return known.empty() ? "a provider's name" : known;
  }

  void check_deed(const RouteConfig& route, std::size_t i) const {
    bool rejects = sink_.given(at("routes", i, ".reject"));
    if (rejects && !route.to.empty()) {
      sink_.fault(at("routes", i, ".reject"), "is given beside to", "one of the two");
    }
    if (rejects && route.reject.status == 0) {
      sink_.fault(at("routes", i, ".reject"), "has no status", "status: 400 to 699");
    }
    bool changes = route.use_enum || route.rewrite != UserRewriteConfig{} ||
                   route.caller != UserRewriteConfig{};
    if (!rejects && !sink_.given(at("routes", i, ".to")) && !changes) {
      sink_.fault(at("routes", i), "does nothing",
                  "to, reject, or what to change: rewrite, caller, enum");
    }
    if (rejects && route.use_enum) {
      sink_.fault(at("routes", i, ".enum"), "is given beside reject", "one of the two");
    }
  }

  void check_destinations(const RouteConfig& route, std::size_t i) const {
    for (const std::string& to : route.to) {
      bool ours = to == "local" || to.starts_with("service:");
      if (ours && route.to.size() > 1) {
        sink_.fault(at("routes", i, ".to"), "holds " + in_quotes(to) + " beside others",
                    "providers alone, where there are several");
      } else if (!ours && !providers_.contains(to)) {
        std::string known = "\"local\"";
        for (const std::string& name : providers_) known += " or " + in_quotes(name);
        sink_.fault(at("routes", i, ".to"), "is " + in_quotes(to) + ", which is no provider",
                    known);
      }
    }
    if (sink_.given(at("routes", i, ".to")) && route.to.empty()) {
      sink_.fault(at("routes", i, ".to"), "is empty", "a place to go to");
    }
  }

  void check_rewrite(const UserRewriteConfig& rewrite, const std::string& key) const {
    if (!rewrite.user.empty() && (rewrite.strip > 0 || !rewrite.prefix.empty())) {
      sink_.fault(key + ".user", "is given beside strip or prefix", "one way of rewriting");
    }
  }

  std::set<std::string> providers_;
  CheckSink& sink_;
};

}  // namespace

void visit_route(KeyVisitor& v, RouteConfig& c) {
  v.value("name", {"Name for logs and `route explain`.", "", "routes[N]"}, text(c.name));
  v.section("match", "All that is given must match; of a list, one.",
            [&] { visit_match(v, c.match); });
  v.section("rewrite", "Changes to the user part and domain of the Request-URI.",
            [&] { visit_rewrite(v, c.rewrite); });
  v.section("caller",
            "The same for From. What a caller signed (Identity, RFC 8224) stays as it is.",
            [&] { visit_rewrite(v, c.caller); });
  v.value("enum",
          {"Look the number up in the DNS (ENUM, RFC 6116): its SIP address takes the place of the "
           "Request-URI. A number without one does not match this route."},
          boolean(c.use_enum));
  v.values("to",
           {"Names of providers, in the order to try them; or `local` (users of this gateway), "
            "`service:echo`, `service:tone`. Without `to` and `reject`, the route changes the "
            "request and those behind it decide.",
            "", "none"},
           one_or_list_of(c.to, destination));
  v.values("failover_on",
           {"Final statuses after which the next provider of `to` is tried. Timeouts and "
            "connections that fail always lead there."},
           one_or_list_of(c.failover_on, failure_status));
  v.section("reject", "Refuse the request, in place of `to`.", [&] {
    v.value("status", {"Status to answer with.", "", "none"}, failure_status(c.reject.status));
    v.value("reason", {"Reason phrase.", "", "the status's own"}, header_text(c.reject.reason));
    v.value("retry_after_s", {"Retry-After; 0: none.", "s"},
            duration(c.reject.retry_after, seconds(0), seconds(86400)));
  });
}

void visit_number(KeyVisitor& v, NumberConfig& c) {
  v.value("number", {"A number, or a pattern as in routes.", "", "", true}, pattern(c.number));
  v.values("users", {"Users whose devices ring, all at once.", "", "", true},
           one_or_list_of(c.users, user_name));
}

void visit_push(KeyVisitor& v, PushConfig& c) {
  v.value("wait_s",
          {"How long an INVITE or MESSAGE waits for a device of its user to register or connect, "
           "before 480 is answered; 0: not at all.",
           "s"},
          duration(c.wait, seconds(0), seconds(120)));
  v.value("url",
          {"Is sent a POST with a JSON object (`event`, `user`, `from`, `method`, `call_id`, "
           "`domain`) for each request that waits, so that it can wake the user's client.",
           "", "none"},
          webhook_url(c.url));
  v.value("secret",
          {"Key of the HMAC-SHA256 over the body that the header `X-Isthmus-Signature: "
           "sha256=HEX` carries.",
           "", "no signature"},
          secret(c.secret));
  v.value("ca_file", {"Authorities (PEM) for an https URL.", "", "system"},
          readable_file(c.ca_file));
  v.value("timeout_s", {"For one POST, connecting included.", "s"},
          duration(c.timeout, seconds(1), seconds(60)));
  v.value("concurrency",
          {"POSTs at once; as many again as a hundredfold wait their turn.", "POSTs"},
          count(c.concurrency, 1, 256));
  v.value("retry", {"Try once more when a POST fails or is answered 5xx."}, boolean(c.retry));
}

void check_routing(const GatewayConfig& config, CheckSink& sink) {
  RouteChecker checker(config, sink);
  for (std::size_t i = 0; i < config.routes.size(); ++i) checker.check(config.routes[i], i);
  for (std::size_t i = 0; i < config.numbers.size(); ++i) {
    if (config.numbers[i].users.empty() && sink.given(at("numbers", i, ".users"))) {
      sink.fault(at("numbers", i, ".users"), "is empty", "at least one user");
    }
  }
  if (!config.push.url.empty() && config.push.wait == seconds(0)) {
    sink.fault("push.url", "is given, but nothing ever waits", "push.wait_s above 0");
  }
  if (config.push.url.empty() && sink.given("push.secret")) {
    sink.fault("push.secret", "has no push.url beside it", "both or none");
  }
}

}  // namespace isthmus::ops
