#include "call/dialog_identity.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/uri.hpp"
#include "sip/values.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

void CSeqNumbers::keep(std::uint32_t came, std::uint32_t sent, Method method) {
  if (method == Method::invite) {
    invite_ = {came, sent};
  } else if (method == Method::refer) {
    std::erase_if(named_, [&](const Pair& pair) { return pair.came == came; });
    if (named_.size() >= limits::kRefersPerDialog) named_.erase(named_.begin());
    named_.push_back({came, sent});
  }
}

std::uint32_t CSeqNumbers::carry(std::uint32_t number, Method method) {
  std::uint32_t sent = number + offset_;
  last_sent_ = std::max(last_sent_, sent);
  keep(number, sent, method);
  return sent;
}

std::uint32_t CSeqNumbers::next_own() {
  ++offset_;
  return ++last_sent_;
}

std::uint32_t CSeqNumbers::carry_again(std::uint32_t number, Method method) {
  std::uint32_t sent = next_own();
  keep(number, sent, method);
  return sent;
}

std::uint32_t CSeqNumbers::sent_as(std::uint32_t number) const {
  if (invite_.came == number && invite_.sent != 0) return invite_.sent;
  for (const Pair& pair : named_) {
    if (pair.came == number) return pair.sent;
  }
  return number + offset_;
}

std::uint32_t CSeqNumbers::came_as(std::uint32_t sent) const {
  if (invite_.sent == sent && invite_.came != 0) return invite_.came;
  for (const Pair& pair : named_) {
    if (pair.sent == sent) return pair.came;
  }
  return sent - std::min(sent, offset_);
}

namespace {

/// `Event: refer;id=N` names a REFER by the CSeq number that the receiver of the NOTIFY gave it.
template <class MapNumber>
void map_refer_id(sip::Message& message, MapNumber map) {
  std::string_view event = message.get(HeaderId::event).value_or("");
  std::size_t end = std::min(event.find(';'), event.size());
  if (end == event.size() || !iequals(trim(event.substr(0, end)), "refer")) return;
  std::optional<sip::Params> params = sip::Params::parse(event.substr(end));
  std::optional<std::string_view> id = params ? params->get("id") : std::nullopt;
  std::optional<std::uint32_t> number = id ? parse_number<std::uint32_t>(*id) : std::nullopt;
  if (!number || map(*number) == *number) return;
  params->set("id", std::to_string(map(*number)));
  message.set(HeaderId::event, std::string(trim(event.substr(0, end))) + params->to_string());
}

constexpr HeaderId kCredentialHeaders[] = {HeaderId::authorization, HeaderId::proxy_authorization};

}  // namespace

void set_tag(sip::Message& message, HeaderId header, std::string_view tag) {
  if (tag.empty()) return;  // of an RFC 2543 end point, which has none
  std::string_view value = message.get(header).value_or("");
  Result<sip::NameAddr, sip::Fault> party = sip::NameAddr::parse(value);
  if (!party) return;
  party->params.set("tag", std::string(tag));
  message.set(header, party->to_string());
}

void set_cseq(sip::Message& message, std::uint32_t number) {
  std::string value = std::to_string(number) + " ";
  value += message.method_text();
  message.set(HeaderId::cseq, value);
}

std::string DialogIdentity::party_on(Side leg, Side party, std::string_view value) const {
  const std::string& tag = names[index_of(leg)].tag[index_of(party)];
  Result<sip::NameAddr, sip::Fault> address = sip::NameAddr::parse(value);
  if (!address || address->tag() == tag) return std::string(value);
  address->params.set("tag", tag);
  return address->to_string();
}

void DialogIdentity::rename(sip::Message& request, Side from) const {
  if (same_names()) return;
  const DialogNames& names_there = names[index_of(other(from))];
  request.set(HeaderId::call_id, names_there.call_id);
  set_tag(request, HeaderId::from, names_there.tag[index_of(from)]);
  // The first request of a dialog has no To tag yet.
  if (!request.to_tag().empty())
    set_tag(request, HeaderId::to, names_there.tag[index_of(other(from))]);
}

void DialogIdentity::carry_request(sip::Message& request, Side from) {
  CSeqNumbers& toward = numbers[index_of(other(from))];
  rename(request, from);
  if (auto cseq = request.cseq()) {
    std::uint32_t sent = toward.carry(cseq->number, request.method());
    if (sent != cseq->number) set_cseq(request, sent);
  }
  if (request.method() == Method::prack) {
    Result<sip::RAck, sip::Fault> rack = sip::RAck::parse(request.get(HeaderId::rack).value_or(""));
    if (rack && toward.sent_as(rack->cseq) != rack->cseq) {
      rack->cseq = toward.sent_as(rack->cseq);
      request.set(HeaderId::rack, rack->to_string());
    }
  } else if (request.method() == Method::subscribe) {
    map_refer_id(request, [&](std::uint32_t id) { return toward.sent_as(id); });
  } else if (request.method() == Method::notify) {
    const CSeqNumbers& refers = numbers[index_of(from)];
    map_refer_id(request, [&](std::uint32_t id) { return refers.came_as(id); });
  }
}

void DialogIdentity::carry_response(sip::Message& response, const sip::Message& request,
                                    std::string_view to_tag) const {
  // What a response repeats of its request (RFC 3261 §8.2.6.2) is put back as the request had it.
  for (HeaderId header : {HeaderId::from, HeaderId::call_id}) {
    if (response.get(header) != request.get(header))
      response.set(header, request.get(header).value_or(""));
  }
  if (request.to_tag().empty()) {
    std::string given = response.to_tag();
    if (!given.empty() && !to_tag.empty() && given != to_tag)
      set_tag(response, HeaderId::to, to_tag);
  } else if (!same_names()) {
    response.set(HeaderId::to, request.get(HeaderId::to).value_or(""));
  }
  auto came = request.cseq(), sent = response.cseq();
  if (came && sent && came->number != sent->number) set_cseq(response, came->number);
}

void DialogIdentity::carry_ack(sip::Message& ack, Side from) const {
  rename(ack, from);
  std::size_t to = index_of(other(from));
  auto cseq = ack.cseq();
  if (cseq && numbers[to].sent_as(cseq->number) != cseq->number)
    set_cseq(ack, numbers[to].sent_as(cseq->number));
  if (hides[to]) {
    // Some phones answer anew in an ACK, for the URI that they send it to, which is not shown.
    for (HeaderId header : kCredentialHeaders) ack.remove(header);
  }
  bool own = std::any_of(std::begin(kCredentialHeaders), std::end(kCredentialHeaders),
                         [&](HeaderId header) { return ack.has(header); });
  if (own) return;  // the client answers for itself
  for (const auto& [header, value] : credentials[to]) ack.add(header, value);
}

void DialogIdentity::keep_credentials(const sip::Message& invite, Side to) {
  auto& kept = credentials[index_of(to)];
  kept.clear();
  for (HeaderId header : kCredentialHeaders) {
    for (std::string_view value : invite.fields(header)) kept.emplace_back(header, value);
  }
}

}  // namespace isthmus::call
