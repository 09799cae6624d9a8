#include "app/admin_json.hpp"

#include <boost/json/object.hpp>

#include "net/clock.hpp"

namespace isthmus::app {

namespace json = boost::json;

namespace {

const char* to_text(call::CallState state) {
  switch (state) {
    case call::CallState::setup:
      return "setup";
    case call::CallState::answered:
      return "answered";
    case call::CallState::ending:
      return "ending";
  }
  return "";
}

json::object leg_json(const std::string& owner, const call::MediaStatistics& media) {
  return {{"owner", owner},
          {"media_remote", media.remote},
          {"packets_received", media.packets},
          {"packets_sent", media.packets_sent},
          {"lost", media.lost},
          {"loss_ratio", media.loss_ratio},
          {"jitter_ms", media.jitter_ms},
          {"round_trip_ms", media.round_trip_ms},
          {"mos", media.mos}};
}

}  // namespace

double as_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

json::array calls_json(const call::Bridge& bridge) {
  json::array list;
  for (const call::CallRecord& record : bridge.calls(net::clock_now())) {
    list.push_back(json::object{{"id", record.id},
                                {"call_id", record.call_id},
                                {"state", to_text(record.state)},
                                {"from", record.from},
                                {"to", record.to},
                                {"setup_s", as_seconds(record.setup_time)},
                                {"talk_s", as_seconds(record.talk_time)},
                                {"caller", leg_json(record.owner[0], record.media[0])},
                                {"callee", leg_json(record.owner[1], record.media[1])}});
  }
  return list;
}

void append_bindings(json::array& list, const call::BindingTable& bindings, Instant now) {
  for (const call::Binding* binding : bindings.all()) {
    if (!binding->confirmed) continue;
    list.push_back(json::object{{"aor", binding->aor},
                                {"contact", binding->contact_uri},
                                {"flow", binding->flow.to_string()},
                                {"reachable", binding->reachable},
                                {"registrar", "passthrough"},
                                {"expires_s", as_seconds(binding->expires - now)}});
  }
}

}  // namespace isthmus::app
