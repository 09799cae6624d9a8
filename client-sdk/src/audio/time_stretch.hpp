#pragma once
#include "audio/codec.hpp"

namespace isthmus::audio {

/// Changes the length of one decoded frame by about one pitch period without changing its pitch, so
/// that a jitter buffer can approach its target delay unheard. The period removed or repeated is
/// the lag, 2.5 to 15 ms, at which the frame is most like itself; both ends of the frame stay where
/// they were, so frames still join.
/// @param frame  mono samples, replaced by the result; at least 15 ms, at most 120 ms
/// @return samples removed (or added); 0 when the frame is neither quiet nor periodic enough and
/// was left
///         as it is
std::size_t shorten(Samples& frame, unsigned sample_rate);
std::size_t lengthen(Samples& frame, unsigned sample_rate);

}  // namespace isthmus::audio
