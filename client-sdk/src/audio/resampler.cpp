#include "audio/resampler.hpp"

#include <speex/speex_resampler.h>

#include <algorithm>

namespace isthmus::audio {
namespace {

constexpr unsigned kLowestRate = 4'000;
constexpr unsigned kHighestRate = 384'000;

SpeexResamplerState* speex(void* state) {
  return static_cast<SpeexResamplerState*>(state);
}

}  // namespace

void Resampler::Deleter::operator()(void* state) const {
  speex_resampler_destroy(speex(state));
}

AudioResult<Resampler> Resampler::create(unsigned from, unsigned to, Quality quality) {
  for (const unsigned rate : {from, to}) {
    if (rate < kLowestRate || rate > kHighestRate) {
      return AudioError{AudioFault::bad_argument,
                        "sample rate " + std::to_string(rate) + " Hz is outside 4000..384000"};
    }
  }
  if (from == to) return Resampler(from, to, nullptr);
  int error = RESAMPLER_ERR_SUCCESS;
  SpeexResamplerState* state = speex_resampler_init(1, from, to, static_cast<int>(quality), &error);
  if (state == nullptr) {
    return AudioError{AudioFault::bad_argument, "resampler from " + std::to_string(from) + " to " +
                                                    std::to_string(to) +
                                                    " Hz: " + speex_resampler_strerror(error)};
  }
  speex_resampler_skip_zeros(state);  // the filter's delay would shift recordings and echo tests
  return Resampler(from, to, state);
}

void Resampler::process(SampleView in, Samples& out) {
  if (!state_) {
    out.insert(out.end(), in.begin(), in.end());
    return;
  }
  while (!in.empty()) {
    const std::size_t start = out.size();
    const std::size_t room = in.size() * to_ / from_ + 64;
    out.resize(start + room);
    auto taken = static_cast<spx_uint32_t>(in.size());
    auto made = static_cast<spx_uint32_t>(room);
    speex_resampler_process_int(speex(state_.get()), 0, in.data(), &taken, out.data() + start,
                                &made);
    out.resize(start + made);
    if (taken == 0 && made == 0) return;
    in = in.subspan(taken);
  }
}

void Resampler::flush(Samples& out) {
  if (!state_) return;
  const Samples zeros(
      static_cast<std::size_t>(speex_resampler_get_input_latency(speex(state_.get()))), 0);
  process(zeros, out);
}

void Resampler::reset() {
  if (!state_) return;
  speex_resampler_reset_mem(speex(state_.get()));
  speex_resampler_skip_zeros(speex(state_.get()));
}

}  // namespace isthmus::audio
