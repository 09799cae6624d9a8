#pragma once
#include <array>
#include <boost/json/object.hpp>
#include <cstdint>

#include "ops/metrics.hpp"
#include "wire/compact_rtp.hpp"
#include "wire/link.hpp"

namespace isthmus::app {

/// What links carried and what it cost: of one, or the sum of many.
struct LinkTotals {
  wire::LinkCounters link;
  wire::MediaFormCounters in, out;

  LinkTotals& operator+=(const LinkTotals& other);
};

/// Adds to a session's object: media frames of each kind and the bytes on the wire for each.
void append_media(boost::json::object& session, const LinkTotals& totals);

/// Copies the sums into `isthmus_link_*` before a scrape. They must not go down: links that are
/// gone stay in them.
void collect_links(ops::Metrics& metrics, const LinkTotals& totals);

/// Why sessions ended and links were lost. Who ends in the greeting was never let in: silent, too
/// much said before it, refused.
class LinkEnds {
 public:
  void session_ended(bool was_established, wire::CloseCode code) {
    ++(was_established ? established_ : greeting_)[index_of(code)];
  }
  void link_lost(wire::CloseCode code) { ++lost_[index_of(code)]; }
  void collect(ops::Metrics& metrics) const;

 private:
  using ByCode = std::array<std::uint64_t, static_cast<std::size_t>(wire::kLastCloseCode) + 1>;
  static std::size_t index_of(wire::CloseCode code);

  ByCode greeting_{}, established_{}, lost_{};
};

}  // namespace isthmus::app
