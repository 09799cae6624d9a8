#include "call/event_terms.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::call {

namespace {

using Media = sdp::SessionDescription::Media;

constexpr std::uint8_t kUsualType = 101;  // what everybody takes for telephone-event
constexpr std::uint8_t kFirstDynamic = 96, kLastDynamic = 127;  // RFC 3551 §6

bool is_event(const sdp::RtpMap& map) {
  return iequals(map.encoding, "telephone-event");
}

bool is_plain_audio(const Media& media) {
  std::string protocol = media.protocol();
  return media.type() == "audio" && (iequals(protocol, "RTP/AVP") || iequals(protocol, "RTP/AVPF"));
}

/// Of the first format that is sound; comfort noise is its companion.
std::uint32_t voice_clock(const Media& media) {
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    if (!is_event(map) && map.clock_rate > 0) return map.clock_rate;
  }
  return 8000;
}

void remove_lines_of(Media& media, const char* attribute, const std::vector<std::string>& types) {
  std::string prefix = std::string(attribute) + ":";
  std::vector<std::string> kept;
  bool found = false;
  for (const auto& line : media.lines()) {
    if (line.type != 'a' || line.value.compare(0, prefix.size(), prefix) != 0) continue;
    std::string value = line.value.substr(prefix.size());
    std::string type(trim(value.substr(0, value.find(' '))));
    bool of_them = std::find(types.begin(), types.end(), type) != types.end();
    found = found || of_them;
    if (!of_them) kept.push_back(std::move(value));
  }
  if (!found) return;
  media.remove_attribute(attribute);
  for (const std::string& value : kept) media.add_attribute(attribute, value);
}

}  // namespace

EventTerms::Formats EventTerms::formats_of(const Media& media) {
  Formats formats;
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    if (is_event(map) && map.clock_rate > 0 && map.payload_type <= kLastDynamic)
      formats.push_back({map.payload_type, map.clock_rate});
  }
  return formats;
}

void EventTerms::take_out(Media& media, const Formats& formats) {
  if (formats.empty()) return;
  std::vector<std::string> types;
  for (const Format& format : formats) types.push_back(std::to_string(format.type));
  std::vector<std::string> left = media.formats();
  std::erase_if(left, [&](const std::string& type) {
    return std::find(types.begin(), types.end(), type) != types.end();
  });
  if (left.empty()) return;  // a stream of nothing but events: an m= line needs a format
  media.set_formats(left);
  for (const char* attribute : {"rtpmap", "fmtp", "rtcp-fb"})
    remove_lines_of(media, attribute, types);
}

/// Leaves those out whose payload type means something else in there.
void EventTerms::put_in(Media& media, Formats& formats) {
  std::vector<std::string> all = media.formats();
  std::erase_if(formats, [&](Format format) {
    return std::find(all.begin(), all.end(), std::to_string(format.type)) != all.end();
  });
  for (const Format& format : formats) {
    std::string type = std::to_string(format.type);
    all.push_back(type);
    media.set_formats(all);
    media.add_attribute("rtpmap", type + " telephone-event/" + std::to_string(format.clock_rate));
    media.add_attribute("fmtp", type + " 0-15");
  }
}

/// One for each clock rate that the stream may run at (RFC 4733 §2.1), under types that are free.
EventTerms::Formats EventTerms::missing(const Media& media) {
  std::vector<std::string> used = media.formats();
  auto is_free = [&](std::uint8_t type) {
    return std::find(used.begin(), used.end(), std::to_string(type)) == used.end();
  };
  Formats formats;
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    bool has = map.clock_rate == 0 || std::any_of(formats.begin(), formats.end(), [&](Format f) {
                 return f.clock_rate == map.clock_rate;
               });
    if (has) continue;
    std::uint8_t type = kUsualType;
    for (std::uint8_t other = kFirstDynamic; !is_free(type) && other <= kLastDynamic; ++other)
      type = other;
    if (!is_free(type)) break;
    used.push_back(std::to_string(type));
    formats.push_back({type, map.clock_rate});
  }
  return formats;
}

void EventTerms::carry(const std::array<DtmfForm, 2>& forms, std::size_t from, Media& media,
                       bool offer) {
  std::size_t to = 1 - from;
  if (!is_plain_audio(media)) {
    *this = {};
    return;
  }
  said_[from] = formats_of(media);
  const Formats& said = said_[from];
  if (!offer) clock_rate_ = voice_clock(media);
  Formats told = said;
  if (forms[to] == DtmfForm::info) {
    told.clear();
  } else if (offer) {
    bool wanted = forms[from] == DtmfForm::info || forms[to] == DtmfForm::rfc4733;
    if (said.empty() && wanted) told = missing(media);
  } else if (said_[to].empty()) {
    told.clear();  // it answers what only we offered
  } else if (said.empty() && forms[from] != DtmfForm::rfc4733) {
    std::copy_if(said_[to].begin(), said_[to].end(), std::back_inserter(told),
                 [&](Format format) { return format.clock_rate == clock_rate_; });
    if (told.empty()) told = {said_[to].front()};
  }
  if (told.empty()) {
    take_out(media, said);
  } else if (said.empty()) {
    put_in(media, told);
  }
  told_[to] = std::move(told);
}

bool EventTerms::knows_events(const std::array<DtmfForm, 2>& forms, std::size_t side) const {
  return forms[side] != DtmfForm::info && !said_[side].empty();
}

TelephoneEvents EventTerms::events_of(const std::array<DtmfForm, 2>& forms,
                                      std::size_t side) const {
  TelephoneEvents events;
  if (knows_events(forms, side)) {
    const Formats& said = said_[side];
    auto fitting = std::find_if(said.begin(), said.end(),
                                [&](Format format) { return format.clock_rate == clock_rate_; });
    if (fitting == said.end()) fitting = said.begin();
    events.type = fitting->type;
    events.clock_rate = fitting->clock_rate;
  }
  if (knows_events(forms, 1 - side)) return events;  // then they pass
  for (Format format : told_[side]) {
    events.taken.set(format.type);
    if (!events.plays()) events.clock_rate = format.clock_rate;
  }
  return events;
}

}  // namespace isthmus::call
