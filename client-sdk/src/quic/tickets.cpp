#include "quic/tickets.hpp"

#include <gnutls/gnutls.h>

#include <algorithm>

namespace isthmus::quic {

namespace {

/// How much older or younger than its ticket says a ClientHello may be, and how long it is
/// remembered: well above the round trip of any network that carries calls.
constexpr std::time_t kWindowSeconds = 10;

}  // namespace

void TicketBox::put(const std::string& place, Ticket ticket) {
  const auto found = std::ranges::find(
      places_, place, [](const auto& one) -> auto& { return one.first; });
  if (found == places_.end()) {
    places_.emplace_front(place, std::deque<Ticket>{});
    if (places_.size() > kPlaces) places_.pop_back();
  } else {
    places_.splice(places_.begin(), places_, found);
  }
  std::deque<Ticket>& tickets = places_.front().second;
  tickets.push_back(std::move(ticket));
  if (tickets.size() > kOfOnePlace) tickets.pop_front();
}

std::optional<Ticket> TicketBox::take(const std::string& place) {
  const auto found = std::ranges::find(
      places_, place, [](const auto& one) -> auto& { return one.first; });
  if (found == places_.end() || found->second.empty()) return std::nullopt;
  Ticket ticket = std::move(found->second.back());
  found->second.pop_back();
  return ticket;
}

Bytes ServerTickets::new_key() {
  gnutls_datum_t key{};
  if (::gnutls_session_ticket_key_generate(&key) < 0) return {};
  Bytes made(key.data, key.data + key.size);
  ::gnutls_memset(key.data, 0, key.size);
  ::gnutls_free(key.data);
  return made;
}

std::shared_ptr<ServerTickets> ServerTickets::make(Bytes key) {
  std::shared_ptr<ServerTickets> made(new ServerTickets);
  made->key_ = key.empty() ? new_key() : std::move(key);
  if (made->key_.empty()) return nullptr;
  if (::gnutls_anti_replay_init(&made->anti_replay_) < 0) return nullptr;
  ::gnutls_anti_replay_set_window(made->anti_replay_, kWindowSeconds * 1000);
  ::gnutls_anti_replay_set_ptr(made->anti_replay_, made.get());
  ::gnutls_anti_replay_set_add_function(
      made->anti_replay_,
      [](void* self, time_t until, const gnutls_datum_t* hello, const gnutls_datum_t*) {
        const bool fresh =
            static_cast<ServerTickets*>(self)->remember(as_text({hello->data, hello->size}), until);
        return fresh ? 0 : GNUTLS_E_DB_ENTRY_EXISTS;
      });
  return made;
}

ServerTickets::~ServerTickets() {
  if (anti_replay_ != nullptr) ::gnutls_anti_replay_deinit(anti_replay_);
  ::gnutls_memset(key_.data(), 0, key_.size());
}

/// @return false: its early data is not to be taken, because it came before or there is no room to
/// remember that it came now
bool ServerTickets::remember(std::string_view hello, std::time_t until) {
  // Each is remembered for one window, so that is how far `until` is ahead of now.
  while (!by_age_.empty() && by_age_.front().first < until - kWindowSeconds) {
    known_.erase(by_age_.front().second);
    by_age_.pop_front();
  }
  if (known_.contains(hello)) {
    ++replays_;
    return false;
  }
  if (known_.size() >= kRemembered) return false;
  known_.emplace(hello);
  by_age_.emplace_back(until, hello);
  return true;
}

}  // namespace isthmus::quic
