#include "app/link_metrics.hpp"

#include <algorithm>
#include <string>
#include <tuple>

namespace isthmus::app {

namespace json = boost::json;

namespace {

constexpr std::array kKinds{wire::MediaKind::whole, wire::MediaKind::compact, wire::MediaKind::rtcp,
                            wire::MediaKind::other};

json::object kinds_of(const wire::MediaFormCounters& counters) {
  json::object kinds;
  for (const wire::MediaKind kind : kKinds) {
    kinds[wire::to_text(kind)] =
        json::object{{"frames", counters.of(kind).frames}, {"bytes", counters.of(kind).bytes}};
  }
  return kinds;
}

void collect_direction(ops::Metrics& metrics, const char* direction,
                       const wire::MediaFormCounters& forms, std::uint64_t messages,
                       std::uint64_t wire_bytes, double per_packet) {
  for (const wire::MediaKind kind : kKinds) {
    const ops::Labels labels{{"direction", direction}, {"kind", wire::to_text(kind)}};
    metrics.counter("isthmus_link_media_frames_total", "Media packets on links", labels)
        .set(forms.of(kind).frames);
    metrics
        .counter("isthmus_link_media_frame_bytes_total",
                 "Bytes of those packets in the form in which links carry them", labels)
        .set(forms.of(kind).bytes);
  }
  const ops::Labels labels{{"direction", direction}};
  metrics
      .counter("isthmus_link_media_messages_total",
               "Messages that carried media: each has one packet or several", labels)
      .set(messages);
  metrics
      .counter("isthmus_link_media_wire_bytes_total",
               "Bytes on the wire of those messages, framing, protection and IP included", labels)
      .set(wire_bytes);
  metrics
      .gauge("isthmus_link_media_wire_bytes_per_packet",
             "Bytes on the wire for each media packet, since the start", labels)
      .set(per_packet);
  metrics.counter("isthmus_link_media_contexts_total", "Contexts of compact RTP agreed", labels)
      .set(forms.contexts);
  metrics
      .counter("isthmus_link_media_contexts_refused_total",
               "Contexts of compact RTP refused or given up", labels)
      .set(forms.contexts_refused);
}

}  // namespace

LinkTotals& LinkTotals::operator+=(const LinkTotals& other) {
  link.media_frames_in += other.link.media_frames_in;
  link.media_frames_out += other.link.media_frames_out;
  link.media_dropped += other.link.media_dropped;
  link.media_messages_in += other.link.media_messages_in;
  link.media_messages_out += other.link.media_messages_out;
  link.media_wire_bytes_in += other.link.media_wire_bytes_in;
  link.media_wire_bytes_out += other.link.media_wire_bytes_out;
  in += other.in;
  out += other.out;
  return *this;
}

void append_media(json::object& session, const LinkTotals& totals) {
  session["media_in"] = kinds_of(totals.in);
  session["media_out"] = kinds_of(totals.out);
  session["media_unreadable"] = totals.in.dropped();
  session["media_messages_in"] = totals.link.media_messages_in;
  session["media_messages_out"] = totals.link.media_messages_out;
  session["wire_bytes_per_packet_in"] = wire::wire_bytes_per_packet_in(totals.link);
  session["wire_bytes_per_packet_out"] = wire::wire_bytes_per_packet_out(totals.link);
}

void collect_links(ops::Metrics& metrics, const LinkTotals& totals) {
  collect_direction(metrics, "in", totals.in, totals.link.media_messages_in,
                    totals.link.media_wire_bytes_in, wire::wire_bytes_per_packet_in(totals.link));
  collect_direction(metrics, "out", totals.out, totals.link.media_messages_out,
                    totals.link.media_wire_bytes_out, wire::wire_bytes_per_packet_out(totals.link));
  metrics
      .counter("isthmus_link_media_dropped_total",
               "Media packets that waited for a link's socket for too long")
      .set(totals.link.media_dropped);
  const auto unreadable = [&](const char* reason, std::uint64_t value) {
    metrics
        .counter("isthmus_link_media_unreadable_total", "Media frames that no packet came of",
                 {{"reason", reason}})
        .set(value);
  };
  unreadable("malformed", totals.in.dropped_malformed);
  unreadable("without_context", totals.in.dropped_without_context);
  unreadable("stale", totals.in.dropped_stale);
}

/// A peer may send a code of a later version: it counts as the last that we know.
std::size_t LinkEnds::index_of(wire::CloseCode code) {
  return std::min(static_cast<std::size_t>(code), std::tuple_size_v<ByCode> - 1);
}

void LinkEnds::collect(ops::Metrics& metrics) const {
  const auto code_of = [](std::size_t index) {
    return std::string(wire::to_text(static_cast<wire::CloseCode>(index)));
  };
  for (std::size_t i = 0; i < greeting_.size(); ++i) {
    const auto ended = [&](const char* phase, std::uint64_t value) {
      if (value == 0) return;
      metrics
          .counter("isthmus_sessions_ended_total",
                   "Sessions that ended, by reason; in the greeting: before they were welcomed",
                   {{"code", code_of(i)}, {"phase", phase}})
          .set(value);
    };
    ended("greeting", greeting_[i]);
    ended("established", established_[i]);
    if (lost_[i] == 0) continue;
    metrics
        .counter("isthmus_links_lost_total", "Links that sessions lost and waited for another",
                 {{"code", code_of(i)}})
        .set(lost_[i]);
  }
}

}  // namespace isthmus::app
