#pragma once
#include <string>
#include <vector>

#include "sdp/session_description.hpp"

namespace isthmus::call {

/// An m= line as it was offered.
struct OfferedLine {
  std::string type, protocol;
  std::vector<std::string> formats;
};
std::vector<OfferedLine> lines_of(const sdp::SessionDescription& description);

/// Makes an answer have one m= line for each of the offer, in its order (RFC 3264 §6). Lines that
/// it lacks come in as refused ones, where those that it has still tell which they answer; lines
/// beyond the offer go.
/// @return false: it names other media than were offered, or in another order. Which stream would
///   get whose packets is then anybody's guess.
bool fit_to_offer(sdp::SessionDescription& answer, const std::vector<OfferedLine>& offered);

}  // namespace isthmus::call
