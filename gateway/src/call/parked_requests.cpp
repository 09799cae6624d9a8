#include "call/parked_requests.hpp"

#include <algorithm>
#include <vector>

#include "base/limits.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

constexpr unsigned kLookupRounds = 8;      // ENUM, then a name; a router that asks on and on is cut
constexpr unsigned kRetryLookup_s = 5;     // a resolver that failed is asked again after this
constexpr unsigned kRetryWhenFull_s = 10;  // half of those that wait are gone by then

}  // namespace

std::optional<ParkedRequests::Ticket> ParkedRequests::keep(Parked parked, std::string user) {
  if (parked_.size() >= limits::kParkedRequests) {
    ++core_.counters.rejected_over_limit;
    core_.reject(parked.server, parked.request, 503, "Too many requests wait", kRetryWhenFull_s);
    return std::nullopt;
  }
  Ticket ticket = next_ticket_++;
  by_server_.emplace(parked.server, ticket);
  if (!user.empty()) by_user_.emplace(user, ticket);
  parked_.emplace(ticket, Entry{std::move(parked), std::move(user), 0});
  return ticket;
}

std::optional<ParkedRequests::Entry> ParkedRequests::take(Ticket ticket) {
  auto found = parked_.find(ticket);
  if (found == parked_.end()) return std::nullopt;
  Entry entry = std::move(found->second);
  parked_.erase(found);
  by_server_.erase(entry.parked.server);
  deadlines_.clear(ticket);
  auto [first, last] = by_user_.equal_range(entry.user);
  auto of_user = std::find_if(first, last, [&](const auto& e) { return e.second == ticket; });
  if (of_user != last) by_user_.erase(of_user);
  return entry;
}

void ParkedRequests::wait_for_lookup(Parked parked, const std::string& key) {
  if (++parked.lookups > kLookupRounds) {
    core_.reject(parked.server, parked.request, 503, "The next hop cannot be found",
                 kRetryLookup_s);
    return;
  }
  std::optional<Ticket> ticket = keep(std::move(parked), {});
  if (!ticket) return;
  bool asked = core_.ask(key, [this, id = *ticket](bool done) {
    std::optional<Entry> entry = take(id);
    if (!entry) return;
    if (done) {
      route_again_(std::move(entry->parked));
    } else {
      core_.reject(entry->parked.server, entry->parked.request, 503,
                   "The next hop could not be found in time", kRetryLookup_s);
    }
  });
  if (asked) return;
  std::optional<Entry> entry = take(*ticket);
  ++core_.counters.rejected_over_limit;
  core_.reject(entry->parked.server, entry->parked.request, 503, "Too many requests wait",
               kRetryWhenFull_s);
}

void ParkedRequests::wait_for_user(Parked parked, const RouteWait& wait) {
  bool first = !parked.until;
  if (first) {
    Duration limit = wait.limit;
    // A request that is no INVITE must be answered before its sender gives up (RFC 4320 §4.1).
    if (parked.request.method() != Method::invite)
      limit = std::min(limit, core_.config.timers.timeout() * 3 / 4);
    parked.until = core_.now + limit;
  }
  if (*parked.until <= core_.now) {
    core_.reject(parked.server, parked.request, 480, "The user has no registered device",
                 wait.retry_after_s);
    return;
  }
  Instant until = *parked.until;
  std::optional<Ticket> ticket = keep(std::move(parked), wait.user);
  if (!ticket) return;
  Entry& entry = parked_.at(*ticket);
  entry.retry_after_s = wait.retry_after_s;
  deadlines_.set(*ticket, until);
  if (first) announce(entry.parked, wait.user);
}

void ParkedRequests::announce(const Parked& parked, const std::string& user) {
  const sip::Message& request = parked.request;
  auto from = request.from();
  core_.emit(WakeUser{user, from ? from->uri : std::string(), std::string(request.method_text()),
                      std::string(request.call_id())});
  if (request.method() != Method::invite) return;  // RFC 4320 §4.1: no 1xx but for INVITE
  sip::Message queued = sip::Message::response_to(request, 182, {}, core_.random.token(12));
  queued.add(HeaderId::server, core_.config.software);
  core_.respond(parked.server, std::move(queued));
}

void ParkedRequests::on_user_available(std::string_view user) {
  std::vector<Ticket> ready;
  auto [first, last] = by_user_.equal_range(std::string(user));
  for (auto entry = first; entry != last; ++entry) ready.push_back(entry->second);
  std::sort(ready.begin(), ready.end());
  for (Ticket ticket : ready) {
    if (std::optional<Entry> entry = take(ticket)) route_again_(std::move(entry->parked));
  }
}

bool ParkedRequests::on_cancel(sip::TransactionId server) {
  auto found = by_server_.find(server);
  if (found == by_server_.end()) return false;
  std::optional<Entry> entry = take(found->second);
  if (entry) core_.reject(server, entry->parked.request, 487, {});
  return true;
}

void ParkedRequests::forget(sip::TransactionId server) {
  auto found = by_server_.find(server);
  if (found != by_server_.end()) take(found->second);
}

void ParkedRequests::on_session_closed(std::uint64_t session) {
  std::vector<sip::TransactionId> gone;
  for (const auto& [ticket, entry] : parked_) {
    const sip::Flow& flow = entry.parked.flow;
    if (flow.is_link() && flow.session == session) gone.push_back(entry.parked.server);
  }
  for (sip::TransactionId server : gone) {
    forget(server);
    core_.merged.end(server);
  }
}

void ParkedRequests::on_timeout() {
  while (std::optional<Ticket> ticket = deadlines_.take_due(core_.now)) {
    std::optional<Entry> entry = take(*ticket);
    if (!entry) continue;
    core_.reject(entry->parked.server, entry->parked.request, 480,
                 "The user has no registered device", entry->retry_after_s);
  }
}

}  // namespace isthmus::call
