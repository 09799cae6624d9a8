// isthmus-connector: parses the command line and runs what it asks for.
#include <CLI/CLI.hpp>
#include <iostream>

#include "app/run_loop.hpp"
#include "app/version.hpp"
#include "connector/connector.hpp"
#include "ops/config_loader.hpp"
#include "ops/health_probe.hpp"
#include "ops/state_dir.hpp"

namespace {

constexpr int kDone = 0, kBadInput = 1, kNotStarted = 2;

int run(const isthmus::ops::ConnectorConfig& config) {
  auto state_dir = isthmus::ops::choose_state_dir(config.state_dir);
  if (!state_dir) {
    std::cerr << "state_dir: " << state_dir.error().text << '\n';
    return kNotStarted;
  }
  boost::asio::io_context io(1);
  isthmus::connector::Connector connector(io, config, *state_dir, isthmus::ops::Log(config.log));
  std::vector<std::string> faults = connector.start();
  for (const std::string& fault : faults) std::cerr << fault << '\n';
  if (!faults.empty()) return kNotStarted;
  isthmus::app::run_until_signal(
      io, [&](std::function<void()> done) { connector.drain(std::move(done)); },
      [&] { connector.reload_certificates(); });
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Isthmus connector: unmodified SIP phones on one side, one link to a gateway on the other"};
  app.set_version_flag("--version", std::string("isthmus-connector ") + isthmus::app::kVersion);
  std::string path;
  bool check_only = false;
  app.add_option("-c,--config", path, "YAML file")->required()->envname("ISTHMUS_CONFIG");
  app.add_flag("--check", check_only, "Read the configuration, report every fault, do not start");
  const CLI::App* health_command =
      app.add_subcommand("healthcheck",
                         "Ask the connector that runs with this configuration whether it serves")
          ->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kBadInput;
  }
  auto config = isthmus::ops::load_connector_config(path);
  if (!config) {
    std::cerr << isthmus::ops::to_string(config.error()) << std::flush;
    return kBadInput;
  }
  if (check_only) {
    std::cout << path << " is a sound configuration.\n";
    return kDone;
  }
  if (health_command->parsed()) return isthmus::ops::healthcheck_command(config->admin);
  return run(*config);
}
