#pragma once
#include <boost/json/array.hpp>

#include "call/binding_table.hpp"
#include "call/bridge.hpp"

namespace isthmus::app {

double as_seconds(Duration duration);

/// The calls of a bridge, as /api/v1/calls lists them.
boost::json::array calls_json(const call::Bridge& bridge);

/// Adds pass-through registrations to a list of registrations.
void append_bindings(boost::json::array& list, const call::BindingTable& bindings, Instant now);

}  // namespace isthmus::app
