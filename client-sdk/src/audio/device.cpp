#include "audio/device.hpp"

#ifdef ISTHMUS_HAVE_PORTAUDIO
#include <portaudio.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "audio/sample_ring.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#endif

namespace isthmus::audio {

#ifndef ISTHMUS_HAVE_PORTAUDIO

namespace {
AudioError not_built() {
  return {AudioFault::device,
          "this build has no sound devices (PortAudio was not found or is off)"};
}
}  // namespace

AudioResult<std::unique_ptr<AudioDevice>> open_audio_device(const DeviceOptions&) {
  return not_built();
}
AudioResult<std::vector<DeviceDescription>> list_audio_devices() {
  return not_built();
}

#else

namespace {

AudioError device_error(const std::string& what, PaError code) {
  return {AudioFault::device, what + ": " + Pa_GetErrorText(code)};
}

/// PortAudio counts its initialisations: one for each object that needs it.
class Session {
 public:
  Session() : status_(Pa_Initialize()) {}
  ~Session() {
    if (status_ == paNoError) Pa_Terminate();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  PaError status() const { return status_; }

 private:
  PaError status_;
};

enum class Side { input, output };

int channels_of(const PaDeviceInfo& info, Side side) {
  return side == Side::input ? info.maxInputChannels : info.maxOutputChannels;
}

/// A device by part of its name; paNoDevice for "none".
AudioResult<PaDeviceIndex> find_device(const std::string& name, Side side) {
  const char* kind = side == Side::input ? "microphone" : "loudspeaker";
  if (name == "none") return PaDeviceIndex{paNoDevice};
  if (name.empty()) {
    const PaDeviceIndex index =
        side == Side::input ? Pa_GetDefaultInputDevice() : Pa_GetDefaultOutputDevice();
    if (index != paNoDevice) return index;
    return AudioError{AudioFault::device, std::string("the system has no default ") + kind};
  }
  const std::string wanted = to_lower(name);
  for (PaDeviceIndex index = 0; index < Pa_GetDeviceCount(); ++index) {
    const PaDeviceInfo* info = Pa_GetDeviceInfo(index);
    if (info != nullptr && channels_of(*info, side) > 0 &&
        to_lower(std::string_view(info->name)).find(wanted) != std::string::npos) {
      return index;
    }
  }
  return AudioError{AudioFault::device,
                    std::string("no ") + kind + " has \"" + name + "\" in its name"};
}

std::string name_of(PaDeviceIndex index) {
  const PaDeviceInfo* info = index == paNoDevice ? nullptr : Pa_GetDeviceInfo(index);
  return info == nullptr ? "none" : info->name;
}

class PortAudioDevice final : public AudioDevice {
 public:
  explicit PortAudioDevice(unsigned sample_rate)
      : sample_rate_(sample_rate),
        captured_(std::size_t{sample_rate} * limits::kDeviceRingMs / 1000),
        playing_(std::size_t{sample_rate} * limits::kDeviceRingMs / 1000) {}

  ~PortAudioDevice() override {
    if (stream_ != nullptr) Pa_CloseStream(stream_);  // waits for the callback to return
  }
  PortAudioDevice(const PortAudioDevice&) = delete;
  PortAudioDevice& operator=(const PortAudioDevice&) = delete;

  AudioResult<void> start(const DeviceOptions& options) {
    if (session_.status() != paNoError) return device_error("sound system", session_.status());
    const auto input = find_device(options.input, Side::input);
    if (!input) return input.error();
    const auto output = find_device(options.output, Side::output);
    if (!output) return output.error();
    if (*input == paNoDevice && *output == paNoDevice) {
      return AudioError{AudioFault::device, "neither microphone nor loudspeaker wanted"};
    }
    const auto in = parameters(*input, options);
    const auto out = parameters(*output, options);
    const std::string names =
        "microphone \"" + name_of(*input) + "\", loudspeaker \"" + name_of(*output) + '"';
    PaError code = Pa_OpenStream(&stream_, in ? &*in : nullptr, out ? &*out : nullptr, sample_rate_,
                                 paFramesPerBufferUnspecified, paNoFlag, &on_samples, this);
    if (code != paNoError) {
      stream_ = nullptr;
      return device_error(names + " at " + std::to_string(sample_rate_) + " Hz", code);
    }
    code = Pa_StartStream(stream_);
    if (code != paNoError) return device_error(names, code);
    return {};
  }

  unsigned sample_rate() const override { return sample_rate_; }
  std::size_t read(std::span<std::int16_t> out) override { return captured_.read(out); }
  std::size_t write(SampleView samples) override {
    const std::size_t taken = playing_.write(samples);
    if (taken != 0) playing_begun_.store(true, std::memory_order_relaxed);
    return taken;
  }
  std::size_t queued() const override { return playing_.size(); }
  std::uint64_t overruns() const override { return overruns_.load(std::memory_order_relaxed); }
  std::uint64_t underruns() const override { return underruns_.load(std::memory_order_relaxed); }

 private:
  static std::optional<PaStreamParameters> parameters(PaDeviceIndex index,
                                                      const DeviceOptions& options) {
    if (index == paNoDevice) return std::nullopt;
    PaStreamParameters wanted{};
    wanted.device = index;
    wanted.channelCount = 1;
    wanted.sampleFormat = paInt16;
    wanted.suggestedLatency = options.latency_ms / 1000.0;
    return wanted;
  }

  /// On the sound system's thread: no lock, no allocation.
  static int on_samples(const void* input, void* output, unsigned long frames,
                        const PaStreamCallbackTimeInfo*, PaStreamCallbackFlags, void* user) {
    auto& self = *static_cast<PortAudioDevice*>(user);
    if (input != nullptr) {
      const SampleView in(static_cast<const std::int16_t*>(input), frames);
      self.overruns_.fetch_add(frames - self.captured_.write(in), std::memory_order_relaxed);
    }
    if (output != nullptr) {
      const std::span out(static_cast<std::int16_t*>(output), frames);
      const std::size_t got = self.playing_.read(out);
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::int16_t{0});
      // Silence before the first write is no fault.
      if (self.playing_begun_.load(std::memory_order_relaxed)) {
        self.underruns_.fetch_add(frames - got, std::memory_order_relaxed);
      }
    }
    return paContinue;
  }

  Session session_;
  unsigned sample_rate_;
  SampleRing captured_, playing_;
  std::atomic<bool> playing_begun_{false};
  std::atomic<std::uint64_t> overruns_{0}, underruns_{0};
  PaStream* stream_ = nullptr;
};

}  // namespace

AudioResult<std::unique_ptr<AudioDevice>> open_audio_device(const DeviceOptions& options) {
  if (options.sample_rate < 8'000 || options.sample_rate > 192'000) {
    return AudioError{
        AudioFault::bad_argument,
        "sound device at " + std::to_string(options.sample_rate) + " Hz: wanted 8000 to 192000"};
  }
  auto device = std::make_unique<PortAudioDevice>(options.sample_rate);
  if (const auto started = device->start(options); !started) return started.error();
  return std::unique_ptr<AudioDevice>(std::move(device));
}

AudioResult<std::vector<DeviceDescription>> list_audio_devices() {
  const Session session;
  if (session.status() != paNoError) return device_error("sound system", session.status());
  std::vector<DeviceDescription> all;
  for (PaDeviceIndex index = 0; index < Pa_GetDeviceCount(); ++index) {
    const PaDeviceInfo* info = Pa_GetDeviceInfo(index);
    if (info == nullptr) continue;
    all.push_back({.name = info->name,
                   .input = info->maxInputChannels > 0,
                   .output = info->maxOutputChannels > 0,
                   .default_input = index == Pa_GetDefaultInputDevice(),
                   .default_output = index == Pa_GetDefaultOutputDevice()});
  }
  return all;
}

#endif

}  // namespace isthmus::audio
