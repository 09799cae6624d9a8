#include "call/answer_lines.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::call {
namespace {

using Media = sdp::SessionDescription::Media;

bool answers(const Media& media, const OfferedLine& offered, bool same_protocol) {
  if (!iequals(media.type(), offered.type)) return false;
  return !same_protocol || iequals(media.protocol(), offered.protocol);
}

/// For each line of the answer the first line of the offer, behind that of the line before it, that
/// it can mean. Empty: one finds none.
std::vector<std::size_t> places_of(const std::vector<Media>& media,
                                   const std::vector<OfferedLine>& offered, bool same_protocol) {
  std::vector<std::size_t> places;
  std::size_t next = 0;
  for (const Media& line : media) {
    while (next < offered.size() && !answers(line, offered[next], same_protocol)) ++next;
    if (next == offered.size()) return {};
    places.push_back(next++);
  }
  return places;
}

}  // namespace

std::vector<OfferedLine> lines_of(const sdp::SessionDescription& description) {
  std::vector<OfferedLine> lines;
  for (const Media& media : description.media())
    lines.push_back({media.type(), media.protocol(), media.formats()});
  return lines;
}

bool fit_to_offer(sdp::SessionDescription& answer, const std::vector<OfferedLine>& offered) {
  if (offered.empty()) return true;
  std::vector<Media>& media = answer.media();
  if (media.size() >= offered.size()) {
    media.erase(media.begin() + static_cast<std::ptrdiff_t>(offered.size()), media.end());
    for (std::size_t i = 0; i < media.size(); ++i) {
      // A refused line says nothing, and some write it as they please.
      if (media[i].port() != 0 && !answers(media[i], offered[i], false)) return false;
    }
    return true;
  }
  if (media.empty()) return false;
  std::vector<std::size_t> places = places_of(media, offered, true);
  if (places.empty()) places = places_of(media, offered, false);
  if (places.empty()) return false;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    if (std::find(places.begin(), places.end(), i) != places.end()) continue;
    answer.add_media(offered[i].type, 0, offered[i].protocol, offered[i].formats);
    std::rotate(media.begin() + static_cast<std::ptrdiff_t>(i), media.end() - 1, media.end());
  }
  return true;
}

}  // namespace isthmus::call
