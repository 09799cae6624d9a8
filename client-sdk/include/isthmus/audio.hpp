#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "isthmus/error.hpp"

namespace isthmus {

/// Where a call's audio comes from and goes to: mono, 16 bits, at `sample_rate`. Only the first of
/// source, play_file and device that is set sends; everything that is set receives. With none, the
/// call sends what Call::push_audio() gives, and silence in between.
struct AudioOptions {
  unsigned sample_rate = 16'000;  ///< Hz: 8000, 16000, 24000 or 48000

  /// Fills the whole span with the next 10 or 20 ms. Called on the SDK's thread: must not wait.
  std::function<void(std::span<std::int16_t>)> source;
  /// Takes the next 10 or 20 ms of what is heard, silence included. Called on the SDK's thread.
  std::function<void(std::span<const std::int16_t>)> sink;

  std::string play_file;  ///< WAV or another file that libsndfile reads; silence after its end
  bool play_loop = false;
  std::string record_file;  ///< WAV, replaced if it exists

  bool device = false;        ///< microphone and loudspeaker; 48000 Hz suits most
  std::string input_device;   ///< part of a name; "" the system's default; "none" without
  std::string output_device;  ///< same
};

struct AudioDeviceInfo {
  std::string name;
  bool input = false, output = false;
  bool default_input = false, default_output = false;
};

/// Whether this build knows sound devices.
ISTHMUS_API bool has_audio_devices();
ISTHMUS_API Outcome<std::vector<AudioDeviceInfo>> list_audio_devices();

/// Names of all codecs of this build, best first: "opus", "PCMU", "PCMA".
ISTHMUS_API std::vector<std::string> supported_codecs();

}  // namespace isthmus
