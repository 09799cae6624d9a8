#include "provider/route_rules.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "provider/enum_rewrite.hpp"

namespace isthmus::provider {

namespace {

bool is_visual_separator(char c) {  // RFC 3966 §3
  return c == '-' || c == '.' || c == '(' || c == ')';
}

std::string without_parameters_and_separators(std::string_view text) {
  std::string number(text.substr(0, text.find(';')));
  std::erase_if(number, is_visual_separator);
  return number;
}

bool is_phone_user(const sip::Uri& uri) {
  return iequals(uri.params.get("user").value_or(""), "phone");
}

/// A user part with everything escaped that RFC 3261 §25.1 does not allow in one.
std::string escaped_user(std::string_view text) {
  constexpr std::string_view kPlain = "-_.!~*'()&=+$,;?/";
  std::string out;
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      append_percent_encoded(out, c);
    }
  }
  return out;
}

std::string rewritten(const UserRewrite& rewrite, std::string text,
                      const std::vector<std::string>& captures) {
  if (!rewrite.user.empty()) return substitute(rewrite.user, captures);
  text.erase(0, std::min<std::size_t>(rewrite.strip, text.size()));
  return rewrite.prefix + text;
}

bool is_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void apply(const UserRewrite& rewrite, const std::vector<std::string>& captures, sip::Uri& uri) {
  std::string before = user_or_number(uri);
  std::string after = rewritten(rewrite, before, captures);
  if ((rewrite.provider_domain || !rewrite.domain.empty()) && !uri.is_sip()) {
    // A tel URI that gets a domain becomes the sip URI of that number (RFC 3261 §19.1.6).
    uri = sip::Uri();
    uri.user = escaped_user(before);
    if (is_number(before)) uri.params.set("user", "phone");
  }
  if (after != before) set_user_or_number(uri, after);
  if (!rewrite.domain.empty()) {
    uri.host = rewrite.domain;
    uri.port = 0;
  }
}

bool covers(const RouteSource& source, const RouteSubject& subject) {
  switch (source.kind) {
    case RouteSource::Kind::links:
      return subject.from_link;
    case RouteSource::Kind::any_provider:
      return !subject.from_link;
    case RouteSource::Kind::provider:
      return !subject.from_link && subject.provider == source.name;
    case RouteSource::Kind::network:
      return subject.address && source.network.contains(*subject.address);
  }
  return false;
}

std::string to_text(const RouteSource& source) {
  switch (source.kind) {
    case RouteSource::Kind::links:
      return "links";
    case RouteSource::Kind::any_provider:
      return "providers";
    case RouteSource::Kind::provider:
      return source.name;
    case RouteSource::Kind::network:
      break;
  }
  return source.network.to_string();
}

template <typename List, typename Text>
std::string joined(const List& list, Text text) {
  std::string out;
  for (const auto& entry : list) out += (out.empty() ? "" : " or ") + text(entry);
  return out;
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::string patterns_text(const std::vector<UserPattern>& patterns) {
  return joined(patterns, [](const UserPattern& pattern) { return pattern.text(); });
}

std::optional<std::vector<std::string>> first_match(const std::vector<UserPattern>& patterns,
                                                    std::string_view text) {
  for (const UserPattern& pattern : patterns) {
    if (auto captures = pattern.match(text)) return captures;
  }
  return std::nullopt;
}

struct Captures {
  std::vector<std::string> number, caller;
};

/// Whether a rule matches. If not, why not, when somebody wants to know.
class Matcher {
 public:
  Matcher(const RouteSubject& subject, std::string* why) : subject_(subject), why_(why) {}

  std::optional<Captures> match(const RouteMatch& match) const {
    if (!source(match) || !caller_session(match) || !domain(match)) return std::nullopt;
    return users(match);
  }

 private:
  template <typename Text>
  bool no(Text text) const {
    if (why_) *why_ = text();
    return false;
  }

  bool source(const RouteMatch& match) const {
    if (match.sources.empty()) {
      return subject_.from_link ||
             no([] { return "is for requests from links (no match.source)"; });
    }
    return std::any_of(match.sources.begin(), match.sources.end(),
                       [&](const RouteSource& source) { return covers(source, subject_); }) ||
           no([&] { return "source is not " + joined(match.sources, to_text); });
  }
  bool caller_session(const RouteMatch& match) const {
    auto has = [](const std::vector<std::string>& list, std::string_view text) {
      return list.empty() || std::find(list.begin(), list.end(), text) != list.end();
    };
    auto same = [](const std::string& text) { return in_quotes(text); };
    if (!has(match.users, subject_.session_user)) {
      return no([&] {
        return "session user " + in_quotes(subject_.session_user) + " is not " +
               joined(match.users, same);
      });
    }
    return has(match.methods, subject_.method) || no([&] {
             return "method " + subject_.method + " is not " +
                    joined(match.methods, [](const std::string& m) { return m; });
           });
  }
  bool domain(const RouteMatch& match) const {
    if (!match.domain.empty() && !iequals(match.domain, subject_.uri.host)) {
      return no([&] {
        return "domain " + in_quotes(subject_.uri.host) + " is not " + in_quotes(match.domain);
      });
    }
    if (match.matches_all() && subject_.own_domain && subject_.from_link) {
      return no([] { return "matches anything, and such rules leave the gateway's own domain"; });
    }
    return true;
  }
  std::optional<Captures> users(const RouteMatch& match) const {
    Captures captures;
    std::string number = subject_.number();
    captures.number = {number};
    if (!number.starts_with(match.user_prefix)) {
      no([&] {
        return in_quotes(number) + " does not begin with " + in_quotes(match.user_prefix);
      });
      return std::nullopt;
    }
    if (!match.numbers.empty()) {
      auto found = first_match(match.numbers, number);
      if (!found) {
        no([&] { return in_quotes(number) + " does not match " + patterns_text(match.numbers); });
        return std::nullopt;
      }
      captures.number = std::move(*found);
    }
    if (match.callers.empty()) {
      captures.caller = {subject_.caller()};
    } else if (auto found = first_match(match.callers, subject_.caller())) {
      captures.caller = std::move(*found);
    } else {
      no([&] {
        return "caller " + in_quotes(subject_.caller()) + " does not match " +
               patterns_text(match.callers);
      });
      return std::nullopt;
    }
    return captures;
  }

  const RouteSubject& subject_;
  std::string* why_;
};

std::string deed_of(const RouteRule& rule) {
  if (rule.reject) {
    return "rejects with " + std::to_string(rule.reject->status) +
           (rule.reject->reason.empty() ? "" : " " + rule.reject->reason);
  }
  if (rule.to.empty()) return "goes on with the rules behind it";
  return "goes to " + joined(rule.to, [](const std::string& to) { return to; });
}

/// Rewrites what the rule says, and notes it.
void rewrite(const RouteRule& rule, const Captures& captures, RouteSubject& subject,
             std::string* deeds) {
  auto say = [&](const std::string& text) {
    if (deeds) *deeds += text + "; ";
  };
  if (!rule.rewrite.empty()) {
    apply(rule.rewrite, captures.number, subject.uri);
    subject.uri_changed = true;
    subject.uri_takes_provider_domain |= rule.rewrite.provider_domain;
    say("Request-URI becomes " + subject.uri.to_string());
  }
  if (rule.caller.empty()) return;
  if (subject.caller_signed) {
    say("From stays: the Identity header signs it");
    return;
  }
  auto uri = sip::Uri::parse(subject.from.uri);
  if (!uri) return;
  apply(rule.caller, captures.caller, *uri);
  subject.from.uri = uri->to_string();
  subject.from_changed = true;
  subject.from_takes_provider_domain |= rule.caller.provider_domain;
  say("From becomes " + subject.from.uri);
}

}  // namespace

std::string user_or_number(const sip::Uri& uri) {
  if (!uri.is_sip()) {
    return uri.scheme == "tel" ? without_parameters_and_separators(uri.opaque) : std::string();
  }
  std::string user = uri.decoded_user();
  return is_phone_user(uri) ? without_parameters_and_separators(user) : user;
}

void set_user_or_number(sip::Uri& uri, std::string_view text) {
  if (uri.is_sip()) {
    uri.user = escaped_user(text);
    return;
  }
  std::size_t parameters = uri.opaque.find(';');
  uri.opaque =
      std::string(text) + (parameters == std::string::npos ? "" : uri.opaque.substr(parameters));
}

std::string RouteSubject::number() const {
  return user_or_number(uri);
}

std::string RouteSubject::caller() const {
  auto parsed = sip::Uri::parse(from.uri);
  return parsed ? user_or_number(*parsed) : std::string();
}

RouteRules::Decision RouteRules::decide(RouteSubject& subject, const EnumCache& numbers,
                                        const std::function<bool(const sip::Uri&)>& is_own,
                                        Instant now, RouteTrace* trace) const {
  for (const RouteRule& rule : rules_) {
    std::string text;
    std::string* said = trace ? &text : nullptr;
    auto note = [&](bool matched) {
      if (trace) trace->note(rule.name, matched, text);
    };
    std::optional<Captures> captures = Matcher(subject, said).match(rule.match);
    if (!captures) {
      note(false);
      continue;
    }
    RouteSubject changed = subject;
    rewrite(rule, *captures, changed, said);
    if (rule.use_enum) {
      std::string number = changed.number();
      // RFC 6116 §3.3: the whole number with its country code, or there is nothing to ask for.
      if (!number.starts_with('+') || !EnumCache::domain_of(number, "e164.arpa")) {
        text = in_quotes(number) + " is no number with a country code (+…), as ENUM needs";
        note(false);
        continue;
      }
      const std::vector<dns::NaptrRecord>* records = numbers.find(number, now);
      if (!records) {
        text += "waits for the ENUM records of " + number;
        note(true);
        if (trace) trace->decided_by = rule.name;
        return {nullptr, EnumCache::lookup_key(number)};
      }
      std::optional<std::string> found = sip_uri_of_number(number, *records);
      auto uri = sip::Uri::parse(found.value_or(""));
      if (!found || !uri) {
        text = "ENUM has no SIP address for " + number;
        note(false);
        continue;
      }
      changed.uri = *uri;
      changed.uri_changed = true;
      text += "ENUM says " + *found + "; ";
    }
    subject = std::move(changed);
    subject.own_domain = is_own(subject.uri);
    if (trace) text += deed_of(rule);
    note(true);
    if (!rule.to.empty() || rule.reject) {
      if (trace) trace->decided_by = rule.name;
      return {&rule, {}};
    }
  }
  return {};
}

}  // namespace isthmus::provider
