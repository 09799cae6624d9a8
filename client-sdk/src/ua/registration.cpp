#include "ua/registration.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::ua {

using sip::HeaderId;
using sip::Message;

namespace {

constexpr Duration kFirstRetry = seconds(30), kLastRetry = std::chrono::minutes(10);
constexpr std::uint32_t kLongestRetryAfter = 3600;  ///< s; a registrar may ask for patience

bool is_permanent(int status) {
  if (status >= 600) return true;
  if (status >= 500) return false;
  return status != 408 && status != 429 && status != 480 && status != 491;
}

std::string describe(const Message& response) {
  return std::to_string(response.status()) + ' ' + std::string(response.reason());
}

}  // namespace

void Registration::start(std::uint32_t expires_s) {
  wanted_ = true;
  expires_s_ = expires_s;
  failures_ = 0;
  if (context_.link_up) send(expires_s_);
}

void Registration::stop() {
  const bool held = state_ == RegistrationState::registered || transaction_ != 0;
  wanted_ = false;
  due_.reset();
  if (held && context_.link_up && !context_.aor.empty()) {
    send(0);
  } else {
    enter(RegistrationState::unregistered, 0, "not registered");
  }
}

void Registration::on_link_up() {
  failures_ = 0;
  if (wanted_) send(expires_s_);
}

void Registration::on_link_down() {
  transaction_ = 0;
  due_.reset();
  if (state_ != RegistrationState::unregistered) {
    enter(RegistrationState::unregistered, 0, "the link to the gateway was lost");
  }
}

void Registration::send(std::uint32_t expires_s) {
  if (context_.aor.empty()) return;
  if (call_id_.empty()) {
    call_id_ = context_.random.token(20);
    from_tag_ = context_.random.token(10);
  }
  const auto aor = sip::Uri::parse(context_.aor);
  const std::string domain = "sip:" + (aor ? aor->host : std::string());
  request_ = context_.new_request("REGISTER", domain, context_.aor, from_tag_, call_id_, ++cseq_);
  request_.set(HeaderId::contact, context_.contact() + ";expires=" + std::to_string(expires_s));
  request_.add(HeaderId::allow, kAllow);
  due_.reset();
  if (state_ == RegistrationState::unregistered || state_ == RegistrationState::failed) {
    enter(RegistrationState::registering, 0, "registering " + context_.aor);
  }
  transaction_ = context_.send(request_);
  if (transaction_ == 0) fail(503, "too many SIP transactions are open", false, 0);
}

bool Registration::on_response(sip::TransactionId client, const Message& response) {
  if (client != transaction_ || transaction_ == 0) return false;
  const int status = response.status();
  if (status < 200) return true;
  transaction_ = 0;
  if (status < 300) {
    on_success(response);
    return true;
  }
  if (status == 401 || status == 407) {
    if (auto again = context_.authorized(request_, response)) {
      ++cseq_;
      request_ = *again;
      transaction_ = context_.send(std::move(*again));
      return true;
    }
  }
  const auto least = response.number(HeaderId::min_expires);
  if (status == 423 && wanted_ && least && *least > expires_s_) {
    expires_s_ = *least;
    send(expires_s_);
    return true;
  }
  on_final_failure(response);
  return true;
}

bool Registration::on_failure(sip::TransactionId client, sip::ClientFailure why) {
  if (client != transaction_ || transaction_ == 0) return false;
  transaction_ = 0;
  const bool timeout = why == sip::ClientFailure::timeout;
  fail(timeout ? 408 : 503, timeout ? "the registrar does not answer" : "the link failed", false,
       0);
  return true;
}

/// RFC 3261 §10.2.4: the time of our own binding, among all that are listed.
std::uint32_t Registration::granted(const Message& response) const {
  const auto ours = sip::Uri::parse(context_.contact_uri());
  for (const std::string_view value : response.values(HeaderId::contact)) {
    const auto contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) continue;
    const auto uri = sip::Uri::parse(contact->uri);
    if (!uri || !ours || !sip::equivalent(*uri, *ours)) continue;
    if (const auto expires = contact->params.get("expires")) {
      if (const auto number = parse_number<std::uint32_t>(*expires)) return *number;
    }
  }
  return response.number(HeaderId::expires).value_or(expires_s_);
}

void Registration::on_success(const Message& response) {
  failures_ = 0;
  if (!wanted_) {
    enter(RegistrationState::unregistered, response.status(), "removed");
    return;
  }
  granted_s_ = granted(response);
  if (granted_s_ == 0) {
    fail(response.status(), "the registrar accepted the request but kept no binding", false, 0);
    return;
  }
  // Between 75 and 90 % of the time: never late, and not all clients at once.
  const std::uint32_t percent = 75 + context_.random.u32() % 16;
  due_ = context_.now + std::chrono::duration_cast<Duration>(
                            milliseconds(std::uint64_t{granted_s_} * 10 * percent));
  enter(RegistrationState::registered, response.status(), "registered " + context_.aor);
}

void Registration::on_final_failure(const Message& response) {
  std::string reason = describe(response);
  const int status = response.status();
  if (status == 401 || status == 407) {
    reason += context_.options.digest_password.empty()
                  ? ": the provider asks for a SIP password, and none was given"
                  : ": the provider refuses the SIP user name or password";
  }
  fail(status, std::move(reason), is_permanent(status),
       response.number(HeaderId::retry_after).value_or(0));
}

void Registration::fail(int status, std::string reason, bool permanent,
                        std::uint32_t retry_after_s) {
  if (!wanted_) {  // what was to be removed runs out by itself
    enter(RegistrationState::unregistered, status, std::move(reason));
    return;
  }
  if (permanent) {
    wanted_ = false;
    enter(RegistrationState::failed, status, std::move(reason));
    return;
  }
  Duration wait = kFirstRetry;
  for (unsigned i = 0; i < failures_ && wait < kLastRetry; ++i) wait *= 2;
  ++failures_;
  wait = std::min(wait, kLastRetry);
  wait = std::max<Duration>(wait / 2 + milliseconds(context_.random.u32() % 15'000),
                            seconds(std::min(retry_after_s, kLongestRetryAfter)));
  due_ = context_.now + wait;
  enter(RegistrationState::failed, status, std::move(reason), wait);
}

void Registration::on_timeout() {
  if (!due_ || *due_ > context_.now) return;
  due_.reset();
  if (wanted_ && context_.link_up) send(expires_s_);
}

void Registration::enter(RegistrationState state, int status, std::string reason,
                         std::optional<Duration> retry_in) {
  state_ = state;
  const std::uint32_t expires = state == RegistrationState::registered ? granted_s_ : 0;
  context_.emit(RegistrationChanged{state, status, std::move(reason), expires, retry_in});
}

}  // namespace isthmus::ua
