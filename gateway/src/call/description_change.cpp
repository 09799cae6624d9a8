#include "call/description_change.hpp"

#include <algorithm>

#include "sdp/session_description.hpp"

namespace isthmus::call {

bool is_news(std::string_view told, std::string_view offered, std::string_view answered) {
  auto before = sdp::SessionDescription::parse(told);
  auto asked = sdp::SessionDescription::parse(offered);
  auto now = sdp::SessionDescription::parse(answered);
  if (!before || !asked || !now) return false;
  if (before->media().size() != now->media().size()) return true;
  for (std::size_t i = 0; i < now->media().size(); ++i) {
    const auto &was = before->media()[i], &is = now->media()[i];
    if ((was.port() == 0) != (is.port() == 0)) return true;
    if (is.port() == 0) continue;
    if (before->direction_of(was) != now->direction_of(is)) return true;
    std::vector<std::string> common = was.formats(), left = is.formats(), ours;
    if (i < asked->media().size()) ours = asked->media()[i].formats();
    auto in = [](const std::vector<std::string>& list, const std::string& format) {
      return std::find(list.begin(), list.end(), format) != list.end();
    };
    if (std::any_of(common.begin(), common.end(), [&](const std::string& format) {
          return in(ours, format) && !in(left, format);
        })) {
      return true;
    }
  }
  return false;
}

}  // namespace isthmus::call
