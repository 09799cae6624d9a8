#pragma once
#include "audio/codec.hpp"

namespace isthmus::audio {

const CodecInfo& opus_info();

/// Opus for voice (RFC 6716, RFC 7587): mono, variable bit rate, in-band FEC on, DTX off so that
/// NATs and loss statistics see a steady stream. Loss is filled from the next packet's FEC, else
/// extrapolated.
/// @return an error that names the option which libopus refused
AudioResult<std::unique_ptr<Codec>> make_opus_codec(const CodecOptions& options);

}  // namespace isthmus::audio
