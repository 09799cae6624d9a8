#include "provider/registration_client.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;
using State = RegistrationMachine::State;
using Input = RegistrationMachine::Input;
using Send = RegistrationMachine::Send;

namespace {

// RFC 5626 §4.5.
constexpr Duration kBaseWait = seconds(30);
constexpr Duration kLongestWait = seconds(1800);
/// Doublings that a refusal begins with: it will hardly be another one soon, and providers lock
/// out whoever repeats wrong credentials.
constexpr unsigned kRefusalDoublings = 3;
/// A Retry-After beyond this is a mistake.
constexpr unsigned kLongestRetryAfter_s = 86'400;
/// A challenge, a stale nonce, another realm, a 423: what one registration may take.
constexpr unsigned kTries = 5;
/// Whatever a registrar grants, it is not asked more often.
constexpr Duration kShortestRefresh = seconds(5);
/// One timer F (RFC 3261 §17) twice: a REGISTER that is lost and one after a challenge.
constexpr std::uint32_t kRefreshRoom_s = 64;

unsigned retry_after_of(const sip::Message& response) {
  std::string_view value = response.get(HeaderId::retry_after).value_or("");
  return parse_number<unsigned>(value.substr(0, value.find_first_not_of("0123456789"))).value_or(0);
}

}  // namespace

RegistrationClient::RegistrationClient(RegistrationConfig config, Random& random)
    : config_(std::move(config)),
      random_(random),
      digest_(config_.auth_user, config_.password, random),
      call_id_(random.token(24)),
      from_tag_(random.token(12)),
      expires_s_(config_.expires_s) {}

std::optional<sip::Message> RegistrationClient::start(Instant now) {
  return carry_out(machine_.on(Input::start, bound(now)));
}

std::optional<sip::Message> RegistrationClient::stop(Instant now) {
  return carry_out(machine_.on(Input::stop, bound(now)));
}

std::optional<sip::Message> RegistrationClient::renew(Instant now) {
  if (machine_.state() == State::waiting && refused_) return std::nullopt;
  return carry_out(machine_.on(Input::renew, bound(now)));
}

std::optional<sip::Message> RegistrationClient::on_timeout(Instant now) {
  if (!due_ || *due_ > now) return std::nullopt;
  due_.reset();
  return carry_out(machine_.on(Input::timer, bound(now)));
}

std::optional<Instant> RegistrationClient::next_deadline() const {
  return due_;
}

std::optional<sip::Message> RegistrationClient::on_response(const sip::Message* response,
                                                            const sip::Flow& flow, Instant now) {
  if (!machine_.open()) return std::nullopt;
  Input input = response ? judge(*response) : Input::refused;
  tries_ = input == Input::again ? tries_ + 1 : 0;
  if (input == Input::accepted) {
    flow_ = flow;
    digest_.learn(sent_, *response);
    failures_ = 0;
    refused_ = false;
    error_.clear();
    if (sent_removal_) {
      bound_until_.reset();
      service_route_.clear();
    } else {
      take_binding(*response, now);
    }
  } else if (input == Input::refused) {
    redirect_.clear();
    error_ = response ? std::to_string(response->status()) + " " +
                            std::string(sip::reason_phrase(response->status()))
                      : std::string("no answer");
  }
  std::optional<sip::Message> next = carry_out(machine_.on(input, bound(now)));
  if (machine_.state() == State::waiting) back_off(response, now);
  return next;
}

/// What a final response to the open REGISTER means; prepares the one that follows it.
Input RegistrationClient::judge(const sip::Message& response) {
  int status = response.status();
  if (status < 300) return Input::accepted;
  if (tries_ + 1 >= kTries) return Input::refused;
  if (status == 401 || status == 407) {
    sip::Message answer = sent_;
    answer.set(HeaderId::cseq, std::to_string(cseq_ + 1) + " REGISTER");
    if (config_.password.empty() || !digest_.authorize(answer, response)) return Input::refused;
    prepared_ = std::move(answer);
    has_prepared_ = true;
    return Input::again;
  }
  if (status == 423 && !sent_removal_ && take_min_expires(response)) return Input::again;
  if ((status == 301 || status == 302 || status == 305) && take_redirect(response))
    return Input::again;
  return Input::refused;
}

/// RFC 3261 §8.1.3.4. Whether there is a way there is the owner's to know.
bool RegistrationClient::take_redirect(const sip::Message& response) {
  Result<sip::NameAddr, sip::Fault> contact = response.contact();
  if (!contact || contact->star || contact->uri == redirect_) return false;
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
  if (!uri || !uri->is_sip()) return false;
  redirect_ = contact->uri;
  return true;
}

bool RegistrationClient::take_min_expires(const sip::Message& response) {
  std::uint32_t least = response.number(HeaderId::min_expires).value_or(0);
  if (least <= expires_s_ || least > limits::kLongestRegistration_s) return false;
  expires_s_ = least;
  return true;
}

void RegistrationClient::take_binding(const sip::Message& response, Instant now) {
  std::uint32_t granted = response.number(HeaderId::expires).value_or(expires_s_);
  for (std::string_view value : response.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact) continue;
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
    if (!uri || uri->user != config_.contact_user) continue;
    if (std::optional<std::string_view> own = contact->params.get("expires"))
      granted = parse_number<std::uint32_t>(*own).value_or(granted);
    break;
  }
  granted = std::clamp<std::uint32_t>(granted, 1, limits::kLongestRegistration_s);
  bound_until_ = now + seconds(granted);
  due_ = now + std::max(refresh_after(granted), kShortestRefresh);
  service_route_.clear();
  for (std::string_view value : response.values(HeaderId::service_route)) {
    if (service_route_.size() == limits::kServiceRoutes) break;
    service_route_.emplace_back(value);
  }
}

/// Once in the registrar's own expiry, as late as leaves room for a second try; spread, so that
/// accounts which registered together do not stay together.
Duration RegistrationClient::refresh_after(std::uint32_t granted_s) {
  std::uint32_t room = std::min(std::max(granted_s / 10, kRefreshRoom_s), granted_s / 2);
  Duration latest = seconds(granted_s - room);
  return between(latest - Duration(seconds(room)) / 2, latest);
}

void RegistrationClient::back_off(const sip::Message* response, Instant now) {
  refused_ = response && response->status() != 503 && response->status() != 408 &&
             response->status() != 500 && response->status() != 504;
  ++failures_;
  unsigned doublings = std::min(failures_ + (refused_ ? kRefusalDoublings : 0u), 10u);
  Duration wait = std::min(kLongestWait, kBaseWait * (1 << doublings));
  wait = between(wait / 2, wait);
  unsigned asked_s = response ? std::min(retry_after_of(*response), kLongestRetryAfter_s) : 0;
  due_ = now + std::max(wait, Duration(seconds(asked_s)));
}

Duration RegistrationClient::between(Duration low, Duration high) {
  auto span = std::chrono::duration_cast<milliseconds>(high - low).count();
  if (span <= 0) return low;
  return low + milliseconds(random_.u64() % static_cast<std::uint64_t>(span + 1));
}

std::optional<sip::Message> RegistrationClient::carry_out(Send send) {
  State state = machine_.state();
  if (state == State::off) {
    due_.reset();
    bound_until_.reset();
    service_route_.clear();
  }
  if (send == Send::nothing) return std::nullopt;
  due_.reset();
  bool removal = send == Send::removal;
  if (has_prepared_ && removal == sent_removal_) {
    ++cseq_;
    sent_ = std::move(prepared_);
  } else {
    sent_ = make_register(removal ? 0 : expires_s_);
    digest_.anticipate(sent_);  // saves the registrar a challenge (RFC 7616 §3.6)
  }
  has_prepared_ = false;
  sent_removal_ = removal;
  return sent_;
}

sip::Message RegistrationClient::make_register(std::uint32_t expires_s) {
  sip::Message request = sip::Message::request("REGISTER", config_.registrar);
  std::string aor = "<" + config_.aor + ">";
  request.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  request.add(HeaderId::from, aor + ";tag=" + from_tag_);
  request.add(HeaderId::to, aor);
  request.add(HeaderId::call_id, call_id_);
  request.add(HeaderId::cseq, std::to_string(++cseq_) + " REGISTER");
  std::string contact =
      "<sip:" + config_.contact_user + "@unset.invalid>;expires=" + std::to_string(expires_s);
  if (!config_.instance.empty())
    contact += ";+sip.instance=\"<" + config_.instance + ">\";reg-id=1";
  request.add(HeaderId::contact, contact);
  request.add(HeaderId::expires, std::to_string(expires_s));
  request.add(HeaderId::supported, config_.instance.empty() ? "path" : "path, outbound");
  return request;
}

}  // namespace isthmus::provider
