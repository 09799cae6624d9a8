#include "audio/codec.hpp"
#include "audio/device.hpp"
#include "isthmus/audio.hpp"

namespace isthmus {

bool has_audio_devices() {
#ifdef ISTHMUS_HAVE_PORTAUDIO
  return true;
#else
  return false;
#endif
}

Outcome<std::vector<AudioDeviceInfo>> list_audio_devices() {
  auto found = audio::list_audio_devices();
  if (!found) return Error{ErrorKind::audio, found.error().message};
  std::vector<AudioDeviceInfo> devices;
  for (const audio::DeviceDescription& device : *found) {
    devices.push_back(
        {device.name, device.input, device.output, device.default_input, device.default_output});
  }
  return devices;
}

std::vector<std::string> supported_codecs() {
  std::vector<std::string> names;
  for (const audio::CodecInfo& codec : audio::supported_codecs()) names.emplace_back(codec.name);
  return names;
}

}  // namespace isthmus
