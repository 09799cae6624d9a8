#include "ops/registrar_config_keys.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::ops {
namespace {

const Problem kNotIt{};  ///< the text itself is wrong

template <typename E>
Scalar word(E& value, std::span<const std::pair<std::string_view, E>> words) {
  std::string expected;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) expected += i + 1 == words.size() ? " or " : ", ";
    expected += words[i].first;
  }
  return {expected, expected,
          [&value, words](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            for (const auto& [name, meaning] : words) {
              if (text != name) continue;
              value = meaning;
              return std::nullopt;
            }
            return kNotIt;
          },
          [&value, words] {
            for (const auto& [name, meaning] : words) {
              if (meaning == value) return std::string(name);
            }
            return std::string();
          }};
}

Scalar authentication(RegistrarAuthentication& value) {
  static constexpr std::pair<std::string_view, RegistrarAuthentication> kWords[] = {
      {"link", RegistrarAuthentication::link}, {"digest", RegistrarAuthentication::digest}};
  return word<RegistrarAuthentication>(value, kWords);
}

Scalar path_policy(RegistrarPath& value) {
  static constexpr std::pair<std::string_view, RegistrarPath> kWords[] = {
      {"accept", RegistrarPath::accept},
      {"strict", RegistrarPath::strict},
      {"off", RegistrarPath::off}};
  return word<RegistrarPath>(value, kWords);
}

Scalar algorithm(sip::DigestAlgorithm& value) {
  using sip::DigestAlgorithm;
  static constexpr std::pair<std::string_view, DigestAlgorithm> kWords[] = {
      {"SHA-512-256", DigestAlgorithm::sha512_256},
      {"SHA-256", DigestAlgorithm::sha256},
      {"MD5", DigestAlgorithm::md5}};
  return word<DigestAlgorithm>(value, kWords);
}

Scalar route_value(std::string& value) {
  return {"route", "a route as <sip:HOST;lr>",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto route = sip::NameAddr::parse(text);
            if (!route || route->star || text.find('<') == std::string::npos) return kNotIt;
            auto uri = sip::Uri::parse(route->uri);
            if (!uri || !uri->is_sip()) return kNotIt;
            value = text;
            return std::nullopt;
          },
          [&value] { return value; }};
}

Scalar database(std::string& value) {
  return {"file", "a file name without control characters",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            bool printable = std::all_of(text.begin(), text.end(), [](char c) {
              return static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
            });
            if (!printable || text.ends_with('/')) return kNotIt;
            value = text;
            return std::nullopt;
          },
          [&value] { return value; }};
}

Scalar sip_ha1(Secret& value) {
  return {"hash", "ALGORITHM:HEX with the algorithm MD5, SHA-256 or SHA-512-256",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            if (!parse_sip_ha1(text)) return kNotIt;
            value = Secret(text);
            return std::nullopt;
          },
          [] { return std::string(); }, true};
}

}  // namespace

std::string database_path(const RegistrarConfig& config, const std::string& state_dir) {
  if (config.database.empty() || config.database.starts_with('/')) return config.database;
  return state_dir + "/" + config.database;
}

std::optional<SipHa1> parse_sip_ha1(std::string_view text) {
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto algorithm = sip::digest_algorithm_from(text.substr(0, colon));
  if (!algorithm || to_lower(text.substr(0, colon)).ends_with("-sess")) return std::nullopt;
  std::string_view hash = text.substr(colon + 1);
  std::size_t digits = *algorithm == sip::DigestAlgorithm::md5 ? 32 : 64;
  bool hex =
      std::all_of(hash.begin(), hash.end(), [](char digit) { return hex_digit(digit) >= 0; });
  if (!hex || hash.size() != digits) return std::nullopt;
  return SipHa1{*algorithm, to_lower(hash)};
}

sip::DigestSecrets sip_secrets_of(const UserConfig& user, std::string_view realm) {
  if (!user.sip_password.empty())
    return sip::digest_secrets(user.name, realm, user.sip_password.reveal());
  sip::DigestSecrets secrets;
  for (const Secret& text : user.sip_ha1) {
    auto ha1 = parse_sip_ha1(text.reveal());
    if (!ha1) continue;
    std::string& place = ha1->algorithm == sip::DigestAlgorithm::md5      ? secrets.md5
                         : ha1->algorithm == sip::DigestAlgorithm::sha256 ? secrets.sha256
                                                                          : secrets.sha512_256;
    place = ha1->hash;
  }
  return secrets;
}

void visit_sip_secrets(KeyVisitor& v, UserConfig& c) {
  v.value("sip_password",
          {"SIP password of phones that register as this user, for `registrar.authentication: "
           "digest`.",
           "", "none"},
          secret(c.sip_password));
  v.value("sip_password_file", {"File that holds the SIP password in its first line.", "", "none"},
          secret_file(c.sip_password));
  v.values("sip_ha1",
           {"In place of the SIP password, `ALGORITHM:` and the hexadecimal hash of "
            "`name:domain:password`, one for each algorithm.",
            "", "none"},
           list_of(c.sip_ha1, sip_ha1));
}

void visit_registrar(KeyVisitor& v, RegistrarConfig& c) {
  v.section("registrar", "The built-in registrar of the gateway's own domain.", [&] {
    v.value("database",
            {"SQLite file for contacts, which survive a restart by it, and for the users of "
             "`isthmus-gateway user`. Relative to the state directory; empty: contacts live in "
             "memory."},
            database(c.database));
    v.value("authentication",
            {"`link`: whoever has a session may register what its user may, and needs no other "
             "password. `digest`: in addition each phone proves by a SIP password whose it is, "
             "when it registers (401) and for every other request of the gateway's domain (407)."},
            authentication(c.authentication));
    v.values("algorithms",
             {"Digest algorithms that are offered, best first: SHA-512-256, SHA-256, MD5. A phone "
              "takes the first that it knows (RFC 8760); but many give up when one of them is "
              "unknown to them, so only MD5 is offered unless all phones are known to do better."},
             list_of(c.algorithms, algorithm));
    v.value("nonce_life_s", {"How long a challenge may be answered.", "s"},
            duration(c.nonce_life, seconds(1), seconds(86400)));
    v.value("default_expires_s", {"Life of a contact that asks for none.", "s"},
            duration(c.default_expires, seconds(1), seconds(604800)));
    v.value("min_expires_s", {"A shorter life is refused (423).", "s"},
            duration(c.min_expires, seconds(1), seconds(3600)));
    v.value("max_expires_s", {"A longer life is cut to this.", "s"},
            duration(c.max_expires, seconds(1), seconds(604800)));
    v.value("path",
            {"Path (RFC 3327): `accept` stores it, and returns it to those who know it; `strict` "
             "refuses it (421) unless the phone knows it; `off` ignores it."},
            path_policy(c.path));
    v.values("service_route",
             {"Values of Service-Route (RFC 3608) in answers to REGISTER, as `<sip:HOST;lr>`.", "",
              "none"},
             list_of(c.service_route, route_value));
    v.value("flow_timer_s",
            {"Flow-Timer told to phones with outbound flows (RFC 5626): how often they keep theirs "
             "alive at least; 0: not told.",
             "s"},
            duration(c.flow_timer, seconds(0), seconds(3600)));
  });
}

void check_registrar(const GatewayConfig& config, CheckSink& sink) {
  const RegistrarConfig& registrar = config.registrar;
  auto above = [&](const char* key, seconds value, const char* other, seconds bound) {
    if (value <= bound) return;
    sink.fault(std::string("registrar.") + key, "is " + std::to_string(value.count()),
               "at most registrar." + std::string(other) + ", " + std::to_string(bound.count()));
  };
  above("min_expires_s", registrar.min_expires, "default_expires_s", registrar.default_expires);
  above("default_expires_s", registrar.default_expires, "max_expires_s", registrar.max_expires);
  if (registrar.algorithms.empty()) {
    sink.fault("registrar.algorithms", "is empty", "at least one algorithm");
  }
  if (registrar.authentication != RegistrarAuthentication::digest) return;
  // A phone takes the best algorithm it knows, whether we have that hash of its user or not.
  for (std::size_t i = 0; i < config.users.size(); ++i) {
    if (config.users[i].sip_ha1.empty()) continue;
    sip::DigestSecrets secrets = sip_secrets_of(config.users[i], config.domain);
    for (sip::DigestAlgorithm algorithm : registrar.algorithms) {
      if (!secrets.of(algorithm).empty()) continue;
      std::string name(sip::to_text(algorithm));
      sink.fault("users[" + std::to_string(i) + "].sip_ha1",
                 "has no hash for " + name + ", which registrar.algorithms offers",
                 name + ":HEX, too, or fewer algorithms");
    }
  }
}

void check_sip_secrets(const std::string& path, CheckSink& sink) {
  std::string given;
  for (const char* key : {"sip_password", "sip_password_file", "sip_ha1"}) {
    if (!sink.given(path + "." + key)) continue;
    if (!given.empty()) {
      sink.fault(path + "." + key, "is given beside " + given, "one of the two");
    }
    given = key;
  }
  if (given.empty() && sink.given(path + ".name") && !sink.given(path + ".password_hash")) {
    sink.fault(path + ".password_hash", "is missing, and there is no sip_password either",
               "\"$scrypt$…\", as printed by isthmus-gateway hash-password");
  }
}

}  // namespace isthmus::ops
