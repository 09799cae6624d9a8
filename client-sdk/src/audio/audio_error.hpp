#pragma once
#include <string>

#include "base/result.hpp"

namespace isthmus::audio {

enum class AudioFault {
  unknown_codec,  ///< no such codec, or not with these parameters
  codec_failed,   ///< the codec library refused to start
  bad_argument,   ///< the caller's value is out of range
  file,           ///< a file cannot be opened, read or written
  device,         ///< a sound device is missing, busy or refuses the format
};

/// Why an audio object could not be made or used; the message names the file, device or codec at
/// fault.
struct AudioError {
  AudioFault fault;
  std::string message;
};

template <typename T>
using AudioResult = Result<T, AudioError>;

}  // namespace isthmus::audio
