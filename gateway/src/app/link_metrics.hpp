#pragma once
#include <boost/json/object.hpp>

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

}  // namespace isthmus::app
