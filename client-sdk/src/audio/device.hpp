#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "audio/codec.hpp"

namespace isthmus::audio {

struct DeviceOptions {
  /// Part of a device's name, without regard to case; "" for the default, "none" for no device.
  std::string input{};
  std::string output{};           ///< same
  unsigned sample_rate = 48'000;  ///< Hz, of both directions
  unsigned latency_ms = 20;       ///< wish to the sound system
};

struct DeviceDescription {
  std::string name;
  bool input = false, output = false;
  bool default_input = false, default_output = false;
};

/// A microphone and a loudspeaker, mono, 16 bits. The sound system's own thread moves the samples
/// through lock-free rings; all methods here are for one other thread (the media thread) and never
/// wait. Made running; stops when destroyed.
class AudioDevice {
 public:
  virtual ~AudioDevice() = default;

  virtual unsigned sample_rate() const = 0;
  /// Takes captured samples. @return how many there were, at most out.size()
  virtual std::size_t read(std::span<std::int16_t> out) = 0;
  /// Gives samples to play. @return how many were taken; the rest did not fit
  /// (limits::kDeviceRingMs)
  virtual std::size_t write(SampleView samples) = 0;
  /// Samples given but not yet played: keep it at one or two frames for low delay.
  virtual std::size_t queued() const = 0;

  virtual std::uint64_t overruns()
      const = 0;  ///< samples captured but dropped: read() came too late
  virtual std::uint64_t underruns()
      const = 0;  ///< samples of silence played: write() came too late
};

/// @return an error that names the device; in a build without PortAudio, one that says so
AudioResult<std::unique_ptr<AudioDevice>> open_audio_device(const DeviceOptions& options);
AudioResult<std::vector<DeviceDescription>> list_audio_devices();

}  // namespace isthmus::audio
