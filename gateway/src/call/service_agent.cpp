#include "call/service_agent.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "call/body_parts.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

const char* name_of(MediaService service) {
  return service == MediaService::echo ? "echo" : "tone";
}

bool is_telephone_event(const sdp::RtpMap& map) {
  return iequals(map.encoding, "telephone-event");
}

/// Formats of an offer that the service can send: echo sends back what it hears, whatever the
/// codec; the tone is made in G.711. Telephone events stay beside the codec.
std::vector<std::string> usable_formats(const sdp::SessionDescription::Media& media,
                                        MediaService service) {
  if (service == MediaService::echo) return media.formats();
  std::vector<std::string> formats;
  bool voice = false;
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    bool g711 = map.payload_type == 0 || map.payload_type == 8;  // PCMU, PCMA (RFC 3551 §6)
    if (g711 && !voice) formats.push_back(std::to_string(map.payload_type));
    if (is_telephone_event(map)) formats.push_back(std::to_string(map.payload_type));
    voice = voice || g711;
  }
  return voice ? formats : std::vector<std::string>();
}

/// The codec that carries sound both ways: the first format of the answer that is no telephone
/// event.
std::optional<sdp::RtpMap> voice_format(const sdp::SessionDescription::Media& media,
                                        const std::vector<std::string>& formats) {
  for (const std::string& format : formats) {
    for (const sdp::RtpMap& map : media.rtpmaps()) {
      if (std::to_string(map.payload_type) == format && !is_telephone_event(map)) return map;
    }
  }
  return std::nullopt;
}

RemoteMedia remote_with_codec(const sdp::SessionDescription& description,
                              const sdp::SessionDescription::Media& media,
                              const std::vector<std::string>& formats) {
  RemoteMedia remote = remote_of(description, media);
  if (std::optional<sdp::RtpMap> voice = voice_format(media, formats)) {
    remote.clock_rate = voice->clock_rate;
    remote.payload_type = voice->payload_type;
  }
  return remote;
}

/// Turns the section of an offer into that of the answer, in place.
void keep_formats(sdp::SessionDescription::Media& media, const std::vector<std::string>& formats) {
  std::vector<std::string> dropped = media.formats();
  std::erase_if(dropped, [&](const std::string& format) {
    return std::find(formats.begin(), formats.end(), format) != formats.end();
  });
  media.set_formats(formats);
  for (const char* name : {"rtpmap", "fmtp", "rtcp-fb"}) {
    std::vector<std::string> kept;
    for (const auto& line : media.lines()) {
      std::string prefix = std::string(name) + ":";
      if (line.type != 'a' || line.value.compare(0, prefix.size(), prefix) != 0) continue;
      std::string value = line.value.substr(prefix.size());
      std::string format = value.substr(0, value.find(' '));
      if (std::find(dropped.begin(), dropped.end(), format) == dropped.end()) kept.push_back(value);
    }
    media.remove_attribute(name);
    for (const std::string& value : kept) media.add_attribute(name, value);
  }
}

}  // namespace

ServiceAgent::~ServiceAgent() {
  for (auto& [token, call] : calls_) {
    core_.media.close(call->client.id);
    core_.media.close(call->player.id);
  }
}

void ServiceAgent::start(sip::TransactionId server, const sip::Flow& flow,
                         const sip::Message& invite, MediaService service) {
  if (refuse_extensions(server, invite) || refuse_body(server, invite)) return;
  if (!core_.take_place(server, invite, flow)) return;
  auto owned = std::make_unique<ServiceCall>();
  ServiceCall& call = *owned;
  call.id = next_id_++;
  call.token = core_.new_token();
  call.flow = flow;
  call.server = server;
  call.invite = invite;
  call.service = service;
  call.started = core_.now;
  call.dialog = sip::Dialog::as_uas(invite, core_.random.token(12));
  std::optional<MediaFault> fault =
      has_encoded_description(invite) ? encoded_body() : open_media(call);
  std::string sdp;
  const std::optional<std::string_view> offer = description_in(invite);
  if (!fault && offer) {
    Result<std::string, MediaFault> answer = answer_offer(call, *offer);
    if (answer) {
      sdp = *answer;
    } else {
      fault = answer.error();
    }
  } else if (!fault) {
    sdp = make_offer(call);
  }
  if (fault) {
    ++core_.counters.calls_failed;
    core_.give_place(true, flow);
    core_.media.close(call.client.id);
    core_.media.close(call.player.id);
    core_.reject(server, invite, fault->status, fault->reason, fault->status == 503 ? 2 : 0);
    return;
  }
  ++core_.counters.calls_started;
  ++core_.counters.calls_answered;
  send_answer(call, sdp);
  core_.emit(CallChanged{record_of(call), false});
  by_call_id_.emplace(call.dialog.call_id, &call);
  calls_.emplace(call.token, std::move(owned));
  look_ahead(call);
}

/// Extensions that a caller insists on, and that nothing here does (RFC 3261 §8.2.2.3).
bool ServiceAgent::refuse_extensions(sip::TransactionId server, const sip::Message& invite) {
  std::string unsupported;
  for (std::string_view option : invite.values(HeaderId::require)) {
    if (!unsupported.empty()) unsupported += ", ";
    unsupported += option;
  }
  if (unsupported.empty()) return false;
  sip::Message response = sip::Message::response_to(invite, 420, {}, core_.random.token(12));
  response.add(HeaderId::unsupported, unsupported);
  response.add(HeaderId::server, core_.config.software);
  core_.respond(server, std::move(response));
  return true;
}

/// A body that has to be understood, and is not (RFC 3261 §8.2.3).
bool ServiceAgent::refuse_body(sip::TransactionId server, const sip::Message& request) {
  const std::string type = request.content_type();
  if (request.body().empty() || is_sdp(type) || type.starts_with("multipart/")) return false;
  const std::string_view disposition = request.get("Content-Disposition").value_or("");
  const auto params =
      sip::Params::parse(disposition.substr(std::min(disposition.find(';'), disposition.size())));
  if (params && iequals(params->get("handling").value_or(""), "optional")) return false;
  sip::Message response = sip::Message::response_to(request, 415, {}, core_.random.token(12));
  response.add(HeaderId::accept, "application/sdp, multipart/mixed, multipart/alternative");
  response.add("Accept-Encoding", "identity");
  response.add(HeaderId::server, core_.config.software);
  core_.respond(server, std::move(response));
  return true;
}

std::optional<MediaFault> ServiceAgent::open_media(ServiceCall& call) {
  auto client = call.flow.is_link() ? core_.media.open_link(call.flow.session)
                                    : core_.media.open_network(!call.flow.remote.address.is_v4());
  if (!client) return MediaFault{503, to_text(client.error())};
  call.client = *client;
  auto player = core_.media.open_service(call.service);
  if (!player) return MediaFault{503, to_text(player.error())};
  call.player = *player;
  core_.media.join(call.client.id, call.player.id);
  return std::nullopt;
}

Result<std::string, MediaFault> ServiceAgent::answer_offer(ServiceCall& call,
                                                           std::string_view offer) {
  Result<sdp::SessionDescription, sdp::Fault> parsed = sdp::SessionDescription::parse(offer);
  if (!parsed) return MediaFault{400, parsed.error().reason()};
  sdp::SessionDescription theirs = *parsed, ours = std::move(*parsed);
  strip_ice(ours);
  bool taken = false;
  for (std::size_t i = 0; i < ours.media().size(); ++i) {
    auto& media = ours.media()[i];
    std::vector<std::string> formats = usable_formats(theirs.media()[i], call.service);
    if (taken || media.port() == 0 || media.type() != "audio" || formats.empty()) {
      media.set_port(0);
      continue;
    }
    taken = true;
    RemoteMedia remote = remote_with_codec(theirs, theirs.media()[i], formats);
    sdp::Direction direction = sdp::reversed(theirs.direction_of(theirs.media()[i]));
    call.held = direction != sdp::Direction::sendrecv || remote.address.is_unspecified();
    keep_formats(media, formats);
    media.set_port(call.client.port);
    media.set_direction(direction);
    media.remove_attribute("rtcp");
    core_.media.set_remote(call.client.id, remote);
    core_.media.set_remote(call.player.id, remote);
  }
  if (!taken) return MediaFault{488, "No audio format that the service can play"};
  ours.set_address(call.client.address);
  ours.set_origin_address(call.client.address);
  ours.set_origin_version(call.sdp_version++);
  return ours.to_string();
}

std::string ServiceAgent::make_offer(ServiceCall& call) {
  call.we_offered = true;
  sdp::SessionDescription ours =
      sdp::SessionDescription::make(call.id, call.sdp_version++, call.client.address);
  auto& media = ours.add_media("audio", call.client.port, "RTP/AVP", {"0", "8", "101"});
  media.add_attribute("rtpmap", "0 PCMU/8000");
  media.add_attribute("rtpmap", "8 PCMA/8000");
  media.add_attribute("rtpmap", "101 telephone-event/8000");
  return ours.to_string();
}

std::optional<MediaFault> ServiceAgent::take_answer(ServiceCall& call, std::string_view sdp) {
  Result<sdp::SessionDescription, sdp::Fault> answer = sdp::SessionDescription::parse(sdp);
  if (!answer) return MediaFault{488, answer.error().reason()};
  if (answer->media().empty() || answer->media().front().port() == 0)
    return MediaFault{488, "Audio refused"};
  const auto& media = answer->media().front();
  RemoteMedia remote = remote_with_codec(*answer, media, media.formats());
  core_.media.set_remote(call.client.id, remote);
  core_.media.set_remote(call.player.id, remote);
  return std::nullopt;
}

void ServiceAgent::add_contact(const ServiceCall& call, sip::Message& response) const {
  const bool secure = asks_secure_contact(call.invite);
  response.add(HeaderId::contact, "<" + core_.contact_uri(call.token, call.flow, secure) + ">");
}

void ServiceAgent::send_answer(ServiceCall& call, const std::string& sdp) {
  sip::Message answer = sip::Message::response_to(call.invite, 200, {}, call.dialog.local_tag);
  for (std::string_view value : call.invite.fields(HeaderId::record_route))
    answer.add(HeaderId::record_route, value);
  add_contact(call, answer);
  answer.add(HeaderId::allow, kAllow);
  answer.add(HeaderId::server, core_.config.software);
  answer.set_body(sdp, "application/sdp");
  call.answer = answer;
  call.acknowledged = false;
  call.resend_after = core_.config.timers.t1;
  call.give_up_at = core_.now + core_.config.timers.timeout();
  repeats_.set(call.token, core_.now + call.resend_after);
  core_.respond(call.server, std::move(answer));
}

/// Finds out where the caller's Contact or route leads: what it sends in the dialog comes from
/// there, and our BYE goes there (RFC 3261 §12.2.1.1).
void ServiceAgent::look_ahead(ServiceCall& call) {
  if (call.flow.is_link()) return;
  std::string lookup;
  const sip::Dialog& dialog = call.dialog;
  std::vector<sip::Flow> hops =
      core_.next_hops(call.flow, dialog.remote_target, dialog.route_set, lookup);
  if (!hops.empty()) return core_.note_peers(call.peers, hops);
  core_.ask(lookup, [this, token = call.token](bool) {
    auto found = calls_.find(token);
    if (found == calls_.end()) return;
    ServiceCall& asked = *found->second;
    std::string unknown;
    core_.note_peers(asked.peers, core_.next_hops(asked.flow, asked.dialog.remote_target,
                                                  asked.dialog.route_set, unknown));
  });
}

ServiceAgent::ServiceCall* ServiceAgent::find(const sip::Flow& flow, const sip::Message& request) {
  auto same_party = [&](const ServiceCall& call) {
    if (call.flow.is_link() != flow.is_link()) return false;
    if (flow.is_link()) return call.flow.session == flow.session;
    // A caller behind a proxy that records no route comes itself, and to our Contact.
    return call.flow.remote.address == flow.remote.address || request_user(request) == call.token;
  };
  // By Call-ID, not by our Contact's token: some peers repeat the first Request-URI.
  auto [first, last] = by_call_id_.equal_range(std::string(request.call_id()));
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second->dialog.matches(request) && same_party(*entry->second)) return entry->second;
  }
  return nullptr;
}

bool ServiceAgent::on_dialog_request(sip::TransactionId server, const sip::Flow& flow,
                                     const sip::Message& request) {
  ServiceCall* call = find(flow, request);
  if (!call) return false;
  auto cseq = request.cseq();
  if (cseq && !call->dialog.accept_remote_cseq(cseq->number)) {
    core_.reject(server, request, 500, "CSeq out of order");
    return true;
  }
  switch (request.method()) {
    case Method::bye: {
      core_.respond(server, sip::Message::response_to(request, 200));
      end(*call, "BYE from caller");
      break;
    }
    case Method::invite:
    case Method::update:
      on_reinvite(*call, server, request);
      break;
    case Method::info:
    case Method::options:
    case Method::notify:
      core_.respond(server, sip::Message::response_to(request, 200));
      break;
    default: {
      sip::Message response = sip::Message::response_to(request, 405);
      response.add(HeaderId::allow, kAllow);
      core_.respond(server, std::move(response));
    }
  }
  return true;
}

void ServiceAgent::on_reinvite(ServiceCall& call, sip::TransactionId server,
                               const sip::Message& request) {
  if (refuse_body(server, request)) return;
  if (has_encoded_description(request)) {
    core_.reject(server, request, encoded_body().status, encoded_body().reason);
    return;
  }
  bool invite = request.method() == Method::invite;
  std::string sdp;
  if (const std::optional<std::string_view> offer = description_in(request)) {
    Result<std::string, MediaFault> answer = answer_offer(call, *offer);
    if (!answer) {
      core_.reject(server, request, answer.error().status, answer.error().reason);
      return;
    }
    sdp = *answer;
  } else if (invite) {
    sdp = make_offer(call);
  }
  call.dialog.refresh_target(request);
  look_ahead(call);
  if (invite) {
    call.server = server;
    call.invite = request;
    send_answer(call, sdp);
    return;
  }
  sip::Message response = sip::Message::response_to(request, 200);
  add_contact(call, response);  // RFC 3311 §5.2
  if (!sdp.empty()) response.set_body(sdp, "application/sdp");
  core_.respond(server, std::move(response));
}

bool ServiceAgent::on_ack(const sip::Flow& flow, const sip::Message& ack) {
  ServiceCall* call = find(flow, ack);
  if (!call) return false;
  bool first = !call->acknowledged;
  call->acknowledged = true;
  repeats_.clear(call->token);
  if (first && call->we_offered) {
    call->we_offered = false;
    const std::optional<std::string_view> answer = description_in(ack);
    std::optional<MediaFault> fault = answer
                                          ? take_answer(*call, *answer)
                                          : MediaFault{488, "ACK without the answer to our offer"};
    if (fault) hang_up(*call, 488, fault->reason);
  }
  return true;
}

void ServiceAgent::on_timeout() {
  while (std::optional<std::string> token = repeats_.take_due(core_.now)) {
    ServiceCall& call = *calls_.at(*token);
    if (core_.now >= call.give_up_at) {
      hang_up(call, 408, "No ACK");
      continue;
    }
    core_.respond(call.server, call.answer);
    call.resend_after = std::min(call.resend_after * 2, core_.config.timers.t2);
    repeats_.set(*token, std::min(core_.now + call.resend_after, call.give_up_at));
  }
}

void ServiceAgent::sweep() {
  Duration limit = core_.config.media_timeout;
  if (limit == Duration::zero()) return;
  std::vector<std::string> silent;
  for (const auto& [token, call] : calls_) {
    if (call->held || core_.now - call->started < limit) continue;
    std::optional<std::uint64_t> idle = core_.media.idle_ms(call->client.id);
    if (!idle || milliseconds(*idle) >= limit) silent.push_back(token);
  }
  for (const std::string& token : silent) {
    ++core_.counters.media_timeouts;
    hang_up(*calls_.at(token), 408, "Media timeout");
  }
}

void ServiceAgent::on_session_closed(std::uint64_t session) {
  std::vector<std::string> gone;
  for (const auto& [token, call] : calls_) {
    if (call->flow.is_link() && call->flow.session == session) gone.push_back(token);
  }
  for (const std::string& token : gone) end(*calls_.at(token), "Link lost");
}

bool ServiceAgent::end_call(CallId id, std::string_view reason) {
  for (auto& [token, call] : calls_) {
    if (call->id != id) continue;
    hang_up(*call, 503, reason);
    return true;
  }
  return false;
}

void ServiceAgent::hang_up(ServiceCall& call, int cause, std::string_view reason) {
  sip::Message bye = call.dialog.request("BYE");
  bye.add(HeaderId::reason, reason_value(cause, reason));
  core_.send(std::move(bye),
             core_.next_hop(call.flow, call.dialog.remote_target, call.dialog.route_set));
  end(call, reason);
}

void ServiceAgent::end(ServiceCall& call, std::string_view reason) {
  CallRecord record = record_of(call);
  record.state = CallState::ending;
  record.end_reason = std::string(reason);
  core_.media.close(call.client.id);
  core_.media.close(call.player.id);
  ++core_.counters.calls_ended;
  core_.emit(CallChanged{std::move(record), true});
  core_.give_place(true, call.flow);
  auto [first, last] = by_call_id_.equal_range(call.dialog.call_id);
  core_.peers.release(call.peers, core_.now, core_.rest_of_peers());
  by_call_id_.erase(
      std::find_if(first, last, [&](const auto& entry) { return entry.second == &call; }));
  repeats_.clear(call.token);
  calls_.erase(std::string(call.token));
}

CallRecord ServiceAgent::record_of(const ServiceCall& call) const {
  CallRecord record;
  record.id = call.id;
  record.call_id = call.dialog.call_id;
  if (auto from = call.invite.from()) record.from = from->uri;
  if (auto to = call.invite.to()) record.to = to->uri;
  record.owner = {core_.router.owner_of(call.flow), name_of(call.service)};
  record.state = CallState::answered;
  record.talk_time = core_.now - call.started;
  record.status = 200;
  record.media = {core_.media.statistics(call.client.id), core_.media.statistics(call.player.id)};
  return record;
}

std::vector<CallRecord> ServiceAgent::records() const {
  std::vector<CallRecord> out;
  for (const auto& [token, call] : calls_) out.push_back(record_of(*call));
  return out;
}

}  // namespace isthmus::call
