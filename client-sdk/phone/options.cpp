#include "options.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

namespace phone {
namespace {

constexpr const char* kFooter =
    "Exit status:\n"
    "  0  the call was completed (register: ended by --count or Ctrl-C)\n"
    "  1  wrong usage: an option, a file, a device\n"
    "  2  no connection to the gateway\n"
    "  3  the gateway or the provider refused the credentials\n"
    "  4  the call or registration was refused; the SIP status is printed\n"
    "  5  the call failed: link or media lost, or interrupted before the answer\n"
    "  6  no answer in time\n\n"
    "Example:\n"
    "  isthmus-phone call echo --gateway wss://gateway.example --user alice \\\n"
    "    --password-file secret --play hello.wav --record back.wav --duration 10";

struct Raw {
  std::vector<std::string> gateways;
  std::string password_file, token_file, device;
  bool no_audio = false;
};

void add_connection(CLI::App& app, Options& to, Raw& raw) {
  auto& gateway = to.client.gateway;
  const std::string group = "Gateway";
  app.add_option(
         "-g,--gateway", raw.gateways,
         "Its URL: wss://host[:port], udp://, or isthmus:// for either. A domain without a port is "
         "looked up in the DNS (SRV). Given again or with commas: others, tried in this order")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->envname("ISTHMUS_GATEWAY")
      ->group(group);
  app.add_option("-u,--user", gateway.user, "User at the gateway")
      ->envname("ISTHMUS_USER")
      ->group(group);
  app.add_option("-p,--password", gateway.password,
                 "Password; other users of this machine can see it")
      ->envname("ISTHMUS_PASSWORD")
      ->group(group);
  app.add_option("--password-file", raw.password_file, "File with the password in its first line")
      ->group(group);
  app.add_option("--token", gateway.token, "JSON Web Token, in place of user and password")
      ->envname("ISTHMUS_TOKEN")
      ->group(group);
  app.add_option("--token-file", raw.token_file, "File with the token")->group(group);
  app.add_option("--pin", gateway.trust.pins,
                 "Key of the gateway, sha256//... as an untrusted gateway's error shows it")
      ->envname("ISTHMUS_PIN")
      ->group(group);
  app.add_option("--ca", gateway.trust.ca_file, "PEM file of trusted roots")
      ->envname("ISTHMUS_CA")
      ->group(group);
  app.add_flag("--insecure", gateway.trust.insecure, "Believe any gateway: for experiments only")
      ->group(group);
  app.add_option("--proxy", gateway.proxy,
                 "HTTP proxy, http://[user:password@]host:port; none: no proxy (as https_proxy and "
                 "no_proxy in the environment say)")
      ->group(group);
  app.add_option_function<double>(
         "--keep-alive",
         [&gateway](const double& seconds) {
           gateway.keep_alive = std::chrono::milliseconds(static_cast<long long>(seconds * 1000));
         },
         "Seconds between signs of life on an idle link; without: found by search on UDP")
      ->check(CLI::Range(0.1, 600.0))
      ->group(group);
  app.add_option("--dns-server", gateway.dns_servers,
                 "DNS server, address[:port], in place of the system's; may be given again")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--tls-key-log", gateway.trust.key_log,
               "Write TLS secrets to the file SSLKEYLOGFILE, for Wireshark")
      ->group(group);
}

void add_identity(CLI::App& app, Options& to) {
  const std::string group = "SIP";
  app.add_option("--aor", to.client.aor, "Own address; default: the user at the gateway's domain")
      ->group(group);
  app.add_option("--display-name", to.client.display_name, "Name shown to the other end")
      ->group(group);
  app.add_option("--sip-user", to.client.sip_user, "User for a provider's digest challenge")
      ->group(group);
  app.add_option("--sip-password", to.client.sip_password, "Password for it")
      ->envname("ISTHMUS_SIP_PASSWORD")
      ->group(group);
}

void add_audio(CLI::App& app, Options& to, Raw& raw) {
  const std::string group = "Audio";
  app.add_option("--play", to.audio.play_file, "Sound file to send")
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_flag("--loop", to.audio.play_loop, "Play it again and again")->group(group);
  app.add_option("--record", to.audio.record_file,
                 "WAV file for what is heard; %n becomes the call's number")
      ->group(group);
  app.add_option("--device", raw.device, "Sound device, by part of its name, both ways")
      ->group(group);
  app.add_option("--input-device", to.audio.input_device, "Microphone alone")->group(group);
  app.add_option("--output-device", to.audio.output_device, "Loudspeaker alone")->group(group);
  app.add_flag("--no-audio", raw.no_audio, "Send silence, play nothing")->group(group);
  app.add_option("--codec", to.client.codecs, "Codecs in order of preference: opus,pcmu,pcma")
      ->delimiter(',')
      ->group(group);
  app.add_option("--ptime", to.client.ptime_ms, "Length of packets: 10, 20, 40 or 60 ms")
      ->group(group);
}

void add_common(CLI::App& app, Options& to) {
  app.add_option("--duration", to.duration_s, "Hang up this many seconds after the answer")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--dtmf", to.dtmf, "Digits to send one second after the answer");
  app.add_option("--media-timeout", to.media_timeout_s,
                 "Hang up after this many seconds without a packet; 0: never (30)")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--json", to.json, "One JSON object a line, and a summary at the end");
  app.add_flag("-q,--quiet", to.quiet, "No status line, no progress: the summary alone");
}

void add_call(CLI::App& app, Options& to, Raw& raw) {
  app.add_option("target", to.target, "Whom to call: \"echo\", bob@example.org, sip:...")
      ->required();
  app.add_option("--timeout", to.answer_timeout_s, "Seconds to wait for the answer (60)")
      ->check(CLI::PositiveNumber);
  app.add_option("--hold-after", to.hold_after_s, "Put the call on hold, seconds after the answer")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--hold-for", to.hold_for_s, "and take it back after so many (2)")
      ->check(CLI::PositiveNumber);
  app.add_flag("--late-offer", to.late_offer, "Let the other end make the SDP offer");
  add_common(app, to);
  add_audio(app, to, raw);
  add_identity(app, to);
}

void add_register(CLI::App& app, Options& to, Raw& raw) {
  app.add_flag("--answer", to.answer, "Take calls that come in; otherwise they are refused");
  app.add_option("--answer-after", to.answer_after_s, "Ring that many seconds first")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--count", to.count, "End after so many calls; 0: go on (0)");
  app.add_option("--expires", to.expires_s, "Seconds that a registration lasts (600)");
  app.add_option("--timeout", to.answer_timeout_s, "Seconds to wait for registration (60)")
      ->check(CLI::PositiveNumber);
  add_common(app, to);
  add_audio(app, to, raw);
  add_identity(app, to);
}

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

/// What options mean together. @return what is wrong, if anything
std::optional<std::string> complete(Options& to, const Raw& raw) {
  auto& gateway = to.client.gateway;
  const std::pair<const std::string*, std::string*> files[] = {
      {&raw.password_file, &gateway.password}, {&raw.token_file, &gateway.token}};
  for (const auto& [file, value] : files) {
    if (file->empty()) continue;
    const auto line = first_line(*file);
    if (!line) return "cannot read a line from \"" + *file + "\"";
    *value = *line;
  }
  if (raw.gateways.empty()) return "say which gateway: --gateway wss://host[:port]";
  for (std::string url : raw.gateways) {
    if (url.find("://") == std::string::npos) url = "wss://" + url;
    if (gateway.url.empty()) {
      gateway.url = url;
    } else {
      gateway.other_urls.push_back(url);
    }
  }
  if (gateway.user.empty() && gateway.token.empty()) {
    return "say who you are: --user with --password-file, or --token";
  }
  if (!gateway.token.empty()) gateway.user.clear();
  gateway.software = "isthmus-phone/" ISTHMUS_VERSION;

  to.device_wanted =
      !raw.device.empty() || !to.audio.input_device.empty() || !to.audio.output_device.empty();
  if (!raw.device.empty()) to.audio.input_device = to.audio.output_device = raw.device;
  const bool files_used = !to.audio.play_file.empty() || !to.audio.record_file.empty();
  to.audio.device =
      to.device_wanted || (!files_used && !raw.no_audio && isthmus::has_audio_devices());
  if (to.audio.device && raw.no_audio) return "--no-audio and a device exclude each other";
  if (to.audio.device) to.audio.sample_rate = 48'000;
  return std::nullopt;
}

}  // namespace

Parsed parse_options(int argc, char** argv) {
  Options options;
  Raw raw;
  CLI::App app("Phone calls over one socket, through an Isthmus gateway", "isthmus-phone");
  app.set_version_flag("--version", "isthmus-phone " ISTHMUS_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  add_connection(app, options, raw);
  auto* call = app.add_subcommand("call", "Place a call");
  add_call(*call, options, raw);
  auto* registers = app.add_subcommand("register", "Stay registered, and take calls");
  add_register(*registers, options, raw);
  auto* list = app.add_subcommand("list-devices", "Show the sound devices");
  for (CLI::App* sub : {call, registers}) {
    sub->fallthrough();  // the gateway's options may stand on either side of the command
    sub->footer(kFooter);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? kCompleted : kUsage};
  }
  if (list->parsed()) {
    options.command = Command::list_devices;
    return {std::move(options), kCompleted};
  }
  options.command = call->parsed() ? Command::call : Command::register_;
  if (const auto fault = complete(options, raw)) {
    std::cerr << "isthmus-phone: " << *fault << "\n";
    return {std::nullopt, kUsage};
  }
  return {std::move(options), kCompleted};
}

}  // namespace phone
