// isthmus-phone: a telephone for the command line, and an example of the SDK's call level.
#include <cstdlib>
#include <iostream>

#include "call_session.hpp"

namespace {

int list_devices() {
  const auto devices = isthmus::list_audio_devices();
  if (!devices) {
    std::cerr << "isthmus-phone: " << devices.error().text << "\n";
    return phone::kUsage;
  }
  for (const isthmus::AudioDeviceInfo& device : *devices) {
    std::cout << device.name << (device.input ? "  [input]" : "")
              << (device.output ? "  [output]" : "")
              << (device.default_input ? "  default input" : "")
              << (device.default_output ? "  default output" : "") << "\n";
  }
  if (devices->empty()) std::cout << "no sound devices\n";
  return phone::kCompleted;
}

}  // namespace

int main(int argc, char** argv) {
  const phone::Parsed parsed = phone::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  if (parsed.options->client.gateway.trust.key_log) {
    const char* file = std::getenv("SSLKEYLOGFILE");
    std::cerr << "isthmus-phone: "
              << (file == nullptr ? "--tls-key-log without SSLKEYLOGFILE: nothing is logged\n"
                                  : "TLS secrets are written: whoever has them reads the call\n");
  }
  switch (parsed.options->command) {
    case phone::Command::call:
      return phone::run_call(*parsed.options);
    case phone::Command::register_:
      return phone::run_register(*parsed.options);
    case phone::Command::list_devices:
      return list_devices();
  }
  return phone::kUsage;
}
