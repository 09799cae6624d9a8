#include "app/commands.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "app/gateway.hpp"
#include "app/route_explain.hpp"
#include "app/run_loop.hpp"
#include "app/user_command.hpp"
#include "app/version.hpp"
#include "ops/config_loader.hpp"
#include "ops/config_reference.hpp"
#include "ops/demo_user.hpp"
#include "ops/health_probe.hpp"
#include "ops/state_dir.hpp"

namespace isthmus::app {
namespace {

constexpr int kDone = 0, kBadInput = 1, kNotStarted = 2;

/// The configuration of a file, or of an empty one; faults go to standard error.
std::optional<ops::GatewayConfig> read_config(const std::string& path) {
  auto config =
      path.empty() ? ops::parse_gateway_config("", "(defaults)") : ops::load_gateway_config(path);
  if (config) return *config;
  std::cerr << ops::to_string(config.error()) << std::flush;
  return std::nullopt;
}

int run(const std::string& config_path) {
  std::optional<ops::GatewayConfig> config = read_config(config_path);
  if (!config) return kBadInput;
  auto state_dir = ops::choose_state_dir(config->state_dir);
  if (!state_dir) {
    std::cerr << "state_dir: " << state_dir.error().text << '\n';
    return kNotStarted;
  }
  net::SystemRandom random;
  std::optional<ops::DemoUser> demo;
  if (ops::needs_demo_user(*config) && !has_stored_users(*config, *state_dir)) {
    auto added = ops::add_demo_user(*config, *state_dir, random);
    if (!added) {
      std::cerr << added.error().text << '\n';
      return kNotStarted;
    }
    demo = *added;
  }
  boost::asio::io_context io(1);
  Gateway gateway(io, *config, *state_dir, ops::Log(config->log));
  std::vector<std::string> faults = gateway.start();
  if (!faults.empty()) {
    for (const std::string& fault : faults) std::cerr << fault << '\n';
    return kNotStarted;
  }
  if (demo)
    std::cout << ops::demo_notice(*config, *demo, gateway.websocket_port(),
                                  gateway.self_signed_pin())
              << std::flush;
  run_until_signal(
      io, [&](std::function<void()> done) { gateway.drain(std::move(done)); },
      [&] { gateway.reload_certificates(); });
  return kDone;
}

int check(const std::string& config_path) {
  if (!read_config(config_path)) return kBadInput;
  std::cout << (config_path.empty() ? "The defaults are" : config_path + " is")
            << " a sound configuration.\n";
  return kDone;
}

int healthcheck(const std::string& config_path) {
  std::optional<ops::GatewayConfig> config = read_config(config_path);
  if (!config) return kBadInput;
  return ops::healthcheck_command(config->admin);
}

int upstreams(const std::string& config_path) {
  std::optional<ops::GatewayConfig> config = read_config(config_path);
  if (!config) return kBadInput;
  return ops::upstreams_command(config->admin);
}

int hash_password() {
  std::string password;
  std::getline(std::cin, password);
  if (password.empty()) {
    std::cerr << "Give the password as one line on standard input.\n";
    return kBadInput;
  }
  net::SystemRandom random;
  std::cout << session::hash_password(password, random) << '\n';
  return kDone;
}

struct MintOptions {
  std::string user, key_file, issuer, audience;
  std::vector<std::string> aors;
  unsigned life_s = 3600;
};

int mint_token(const MintOptions& options) {
  auto text = ops::read_file(options.key_file);
  if (!text) {
    std::cerr << text.error().text << '\n';
    return kBadInput;
  }
  // 32 bytes in base64url could be either kind of key; here only PEM means Ed25519.
  bool pem = text->find("-----BEGIN") != std::string::npos;
  std::optional<session::SigningKey> key;
  if (auto ed25519 = session::parse_ed25519_private_key(*text); pem && ed25519) {
    key = *ed25519;
  } else if (auto hmac = session::parse_hmac_key(*text)) {
    key = *hmac;
  }
  if (!key) {
    std::cerr << options.key_file
              << ": expected an Ed25519 private key in PEM, or base64url of at least 32 bytes for "
                 "HS256\n";
    return kBadInput;
  }
  session::TokenClaims claims;
  claims.subject = options.user;
  claims.aors = options.aors;
  claims.issuer = options.issuer;
  claims.audience = options.audience;
  claims.expires_at =
      std::chrono::floor<seconds>(std::chrono::system_clock::now()) + seconds(options.life_s);
  auto token = session::mint_token(*key, claims);
  if (!token) {
    std::cerr << "The token could not be signed with " << options.key_file << '\n';
    return kBadInput;
  }
  std::cout << *token << '\n';
  return kDone;
}

/// The `user` subcommand and its own; parsed into `options` when it is given.
CLI::App* add_user_command(CLI::App& app, UserOptions& options) {
  CLI::App* user =
      app.add_subcommand("user", "Users of the registrar's database; a running gateway sees them")
          ->fallthrough()
          ->require_subcommand(1);
  auto action = [&](const char* name, const char* text, UserAction which) {
    CLI::App* command = user->add_subcommand(name, text)->fallthrough();
    command->callback([&options, which] { options.action = which; });
    if (which != UserAction::list) {
      command->add_option("name", options.name, "User name")->required();
    }
    return command;
  };
  CLI::App* add =
      action("add", "Add one; the password is read from standard input", UserAction::add);
  add->add_option("--aor", options.aors,
                  "Address of record it may use; repeatable; \"*\": any (default: its name)");
  add->add_flag("--sip-only", options.sip_only, "For phones: it opens no links");
  add->add_flag("--link-only", options.link_only, "For links: it has no SIP password");
  action("list", "Print all", UserAction::list);
  action("remove", "Remove one", UserAction::remove);
  action("passwd", "Set another password, read from standard input", UserAction::passwd);
  return user;
}

int user(const std::string& config_path, const UserOptions& options) {
  std::optional<ops::GatewayConfig> config = read_config(config_path);
  return config ? user_command(*config, options) : kBadInput;
}

}  // namespace

int gateway_main(int argc, char** argv) {
  CLI::App app{"Isthmus gateway: one client socket on one side, standard SIP and RTP on the other"};
  app.set_version_flag("--version", std::string("isthmus-gateway ") + kVersion);
  std::string config_path;
  app.add_option("-c,--config", config_path,
                 "YAML file; without one the defaults make a working gateway")
      ->envname("ISTHMUS_CONFIG");
  CLI::App* run_command =
      app.add_subcommand("run", "Serve (also without a subcommand)")->fallthrough();
  CLI::App* check_command =
      app.add_subcommand("check", "Read the configuration, report every fault, do not start")
          ->fallthrough();
  CLI::App* health_command =
      app.add_subcommand("healthcheck",
                         "Ask the gateway that runs with this configuration whether it serves")
          ->fallthrough();
  CLI::App* upstreams_command =
      app.add_subcommand("upstreams",
                         "Ask the gateway that runs with this configuration for its registrations "
                         "at providers. Exit code 1: one of them fails")
          ->fallthrough();
  CLI::App* hash_command = app.add_subcommand(
      "hash-password", "Read a password from standard input, print its password_hash");
  CLI::App* reference_command =
      app.add_subcommand("config-reference", "Print every configuration key as Markdown");
  CLI::App* mint_command = app.add_subcommand("mint-token", "Sign a bearer token for a user");
  MintOptions mint;
  mint_command->add_option("--user", mint.user, "User name (\"sub\")")->required();
  mint_command
      ->add_option("--key-file", mint.key_file,
                   "Ed25519 private key (PEM) or HMAC secret (base64url)")
      ->required();
  mint_command->add_option("--life", mint.life_s, "Seconds until it expires")
      ->capture_default_str();
  mint_command->add_option("--aor", mint.aors,
                           "Address of record it may use; repeatable; \"*\": any");
  mint_command->add_option("--issuer", mint.issuer, "\"iss\"");
  mint_command->add_option("--audience", mint.audience, "\"aud\"");
  UserOptions user_options;
  CLI::App* users_command = add_user_command(app, user_options);
  CLI::App* route_command = app.add_subcommand("route", "Where requests go")->fallthrough();
  CLI::App* explain_command =
      route_command
          ->add_subcommand("explain",
                           "Show which rule decides about a request, and why; by the "
                           "configuration alone. Exit code 1: it is refused")
          ->fallthrough();
  RouteQuestion question;
  bool explain_json = false;
  explain_command->add_option("uri", question.uri, "Request-URI")->required();
  explain_command->add_option("--from", question.from, "URI of the caller");
  explain_command->add_option("--source", question.source,
                              "link:USER, provider:NAME or ADDRESS; without: the first user");
  explain_command->add_option("--method", question.method, "Method")->capture_default_str();
  explain_command->add_option("--header", question.headers,
                              "\"Name: value\" of the request; repeatable");
  explain_command->add_flag("--json", explain_json, "One JSON object");
  route_command->require_subcommand(1);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kBadInput;
  }
  static_cast<void>(run_command);
  if (check_command->parsed()) return check(config_path);
  if (health_command->parsed()) return healthcheck(config_path);
  if (upstreams_command->parsed()) return upstreams(config_path);
  if (hash_command->parsed()) return hash_password();
  if (mint_command->parsed()) return mint_token(mint);
  if (users_command->parsed()) return user(config_path, user_options);
  if (explain_command->parsed()) {
    std::optional<ops::GatewayConfig> config = read_config(config_path);
    return config ? route_explain_command(*config, question, explain_json) : kBadInput;
  }
  if (reference_command->parsed()) {
    std::cout << ops::config_reference();
    return kDone;
  }
  return run(config_path);
}

}  // namespace isthmus::app
