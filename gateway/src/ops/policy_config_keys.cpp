#include "ops/policy_config_keys.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "provider/protected_headers.hpp"
#include "sip/scan.hpp"
#include "sip/uri.hpp"

namespace isthmus::ops {
namespace {

constexpr std::size_t kHeaderLineBytes = 512;

std::optional<Problem> problem_of_name(std::string_view name) {
  if (!sip::scan::is_token(name)) return Problem{};
  if (provider::is_protected_header(name)) {
    return Problem{"names " + std::string(name) + ", which calls rest on and nobody may edit",
                   "another header"};
  }
  return std::nullopt;
}

/// "Name: rest" with a name that may be edited and a rest that `good` accepts.
template <typename Good>
Scalar header_line(std::string& value, std::string type, std::string expected, Good good) {
  return {std::move(type), std::move(expected),
          [&value, good](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            std::size_t colon = text.find(':');
            if (colon == std::string::npos || text.size() > kHeaderLineBytes) return Problem{};
            if (auto problem = problem_of_name(trim(text.substr(0, colon)))) return problem;
            if (auto problem = good(trim(std::string_view(text).substr(colon + 1)))) return problem;
            value = text;
            return std::nullopt;
          },
          [&value] { return value; }};
}

Scalar header(std::string& value) {
  return header_line(value, "header", "\"Name: value\", printable",
                     [](std::string_view rest) -> std::optional<Problem> {
                       bool printable =
                           !rest.empty() && std::all_of(rest.begin(), rest.end(), [](char c) {
                             return (c >= ' ' && c <= '~') || (c & '\x80') != 0;
                           });
                       return printable ? std::nullopt : std::optional<Problem>(Problem{});
                     });
}

Scalar renaming(std::string& value) {
  return header_line(value, "names", "\"Old-Name: New-Name\"", problem_of_name);
}

Scalar header_name(std::string& value) {
  return {"header name", "the name of a header",
          [&value](const std::string& text, const FileAccess&) {
            auto problem = problem_of_name(text);
            if (!problem) value = text;
            return problem;
          },
          [&value] { return value; }};
}

Scalar name_addr(std::string& value) {
  return {"name and address", "\"Name\" <sip:…>, without parameters behind it",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto parsed = sip::NameAddr::parse(text);
            auto uri = parsed ? sip::Uri::parse(parsed->uri) : sip::Uri::parse("");
            if (!uri || !uri->is_sip() || !parsed->params.empty() || text.size() > 256 ||
                text.find('<') == std::string::npos ||
                text.find_first_of("\r\n") != std::string::npos) {
              return Problem{};
            }
            value = text;
            return std::nullopt;
          },
          [&value] { return value; }};
}

Scalar use(HeaderUse& value) {
  return {"pass or strip", "pass or strip",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            if (text != "pass" && text != "strip") return Problem{};
            value = text == "pass" ? HeaderUse::pass : HeaderUse::strip;
            return std::nullopt;
          },
          [&value] { return std::string(value == HeaderUse::pass ? "pass" : "strip"); }};
}

constexpr const char* kRedirectionForms[] = {"pass", "diversion", "history_info", "both"};

Scalar redirection_form(RedirectionForm& value) {
  return {"pass, diversion, history_info or both", "pass, diversion, history_info or both",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto name = std::find(std::begin(kRedirectionForms), std::end(kRedirectionForms), text);
            if (name == std::end(kRedirectionForms)) return Problem{};
            value = static_cast<RedirectionForm>(name - std::begin(kRedirectionForms));
            return std::nullopt;
          },
          [&value] { return std::string(kRedirectionForms[static_cast<std::size_t>(value)]); }};
}

void visit_edits(KeyVisitor& v, HeaderEditsConfig& c) {
  v.values("rename", {"`Old-Name: New-Name`; done first.", "", "none"},
           list_of(c.rename, renaming));
  v.values("remove", {"Names of headers to take out.", "", "none"}, list_of(c.remove, header_name));
  v.values("set", {"`Name: value`, in place of all of that name.", "", "none"},
           list_of(c.set, header));
  v.values("add", {"`Name: value`, beside those of that name.", "", "none"},
           list_of(c.add, header));
}

}  // namespace

void visit_headers(KeyVisitor& v, HeadersConfig& c) {
  v.section(
      "headers",
      "Headers between clients and this provider. What Identity (RFC 8224) signs is never changed.",
      [&] {
        v.value("trusted",
                {"The provider is of our trust domain (RFC 3325): its P-Asserted-Identity is "
                 "believed, and it gets ours even with `Privacy: id`."},
                boolean(c.trusted));
        v.value("assert_identity",
                {"Put P-Asserted-Identity on requests to it, from who the session is: its "
                 "P-Preferred-Identity or From where it may use that address, else its user."},
                boolean(c.assert_identity));
        v.value("apply_privacy",
                {"Carry `Privacy: user` and `header` out here (RFC 3323): From becomes "
                 "`anonymous_from`, and headers that tell of the caller are taken out. Otherwise "
                 "that is left to the provider."},
                boolean(c.apply_privacy));
        v.value("anonymous_from", {"From of callers who ask for it."}, name_addr(c.anonymous_from));
        v.value("diversion", {"Diversion, both ways (RFC 5806)."}, use(c.diversion));
        v.value("history_info", {"History-Info, both ways (RFC 7044)."}, use(c.history_info));
        v.value(
            "redirections",
            {"In which form calls to it tell who redirected them: `diversion`, `history_info`, "
             "each made of the other where it is missing and the other taken out (RFC 7544), or "
             "`both`."},
            redirection_form(c.redirections));
        v.value("software", {"User-Agent and Server, both ways; `user_agent` stands in for them."},
                use(c.software));
        v.section("to_provider", "Edits of every message to the provider, made last.",
                  [&] { visit_edits(v, c.to_provider); });
        v.section("from_provider", "Edits of every message from the provider, made first.",
                  [&] { visit_edits(v, c.from_provider); });
      });
}

void visit_account_limits(KeyVisitor& v, AccountLimitsConfig& c, bool calls) {
  constexpr std::uint32_t kMost = 1'000'000;
  if (calls) {
    v.value("calls", {"Calls at once, placed and taken; 0: any number.", "calls"},
            count(c.calls, 0, kMost));
  }
  v.value("call_attempts_per_s", {"INVITEs; five seconds' worth at once. 0: any number.", "1/s"},
          count(c.call_attempts_per_s, 0, kMost));
  v.value("registrations_per_s", {"REGISTERs, likewise.", "1/s"},
          count(c.registrations_per_s, 0, kMost));
  v.value("requests_per_s", {"Other requests outside dialogs, likewise.", "1/s"},
          count(c.requests_per_s, 0, kMost));
}

}  // namespace isthmus::ops
