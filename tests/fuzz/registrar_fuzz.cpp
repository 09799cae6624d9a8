// REGISTER requests of any shape, several on one registrar, from two links: headers of one request
// a paragraph. What it holds stays within bounds and is found by its indexes, its answers are sound
// messages, and what it stores comes back the same.
#include <cstdint>
#include <cstdlib>
#include <map>

#include "base/limits.hpp"
#include "provider/registrar.hpp"

using namespace isthmus;
using namespace isthmus::provider;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Store final : RegistrarStore {
  std::map<std::string, std::vector<StoredContact>> users;
  void put(const std::string& user, std::vector<StoredContact> contacts) override {
    users.erase(user);
    if (!contacts.empty()) users.emplace(user, std::move(contacts));
  }
};

void check_state(const Registrar& registrar, Instant now) {
  std::map<std::string, std::size_t> counts;
  for (const Registrar::Entry& entry : registrar.all()) {
    require(++counts[entry.user] <= limits::kContactsPerAor);
    require(entry.contact.path.size() <= limits::kPathPerContact);
    require(entry.contact.expires <= now + seconds(7200));
    require(entry.contact.q >= 0 && entry.contact.q <= 1);
  }
  for (const auto& [user, count] : counts) {
    std::size_t flows = 0;
    for (const auto& device : registrar.devices(user, now)) flows += device.size();
    require(flows == registrar.lookup(user, now).size());
  }
}

void check_restored(const Store& store, const Registrar& before, Random& random, Instant now) {
  std::vector<StoredContact> stored;
  for (const auto& [user, contacts] : store.users) {
    stored.insert(stored.end(), contacts.begin(), contacts.end());
  }
  Registrar after(
      {"h"}, [](const sip::Flow&, std::string_view) { return true; }, random);
  after.restore(stored, now);
  std::size_t live = 0;
  for (const Registrar::Entry& entry : before.all()) {
    live += std::chrono::floor<seconds>(entry.contact.expires.time_since_epoch()) >
            std::chrono::floor<seconds>(now.time_since_epoch());
  }
  require(after.contact_count() == live);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SeededRandom random(1);
  Store store;
  Registrar registrar(
      {"h"}, [](const sip::Flow&, std::string_view) { return true; }, random);
  registrar.set_store(&store);
  Instant now(std::chrono::hours(1));
  std::string_view rest = as_text({data, size});
  for (std::uint64_t turn = 0; !rest.empty() && turn < 64; ++turn) {
    std::size_t end = rest.find("\n\n");
    std::string headers(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 2);
    auto request = sip::Message::parse(
        "REGISTER sip:h SIP/2.0\nVia: SIP/2.0/TLS a.invalid;branch=z9hG4bK1\n"
        "From: <sip:a@h>;tag=1\nTo: <sip:a@h>\nCall-ID: c\nCSeq: " +
        std::to_string(turn + 1) + " REGISTER\n" + headers + "\n\n");
    if (!request || request->check()) continue;
    sip::Message response = registrar.on_register(*request, sip::Flow::link(turn % 2), now);
    auto wire = sip::Message::parse(response.serialize());
    require(wire && wire->status() == response.status() && !wire->check());
    if (turn % 5 == 4) registrar.session_closed(turn % 2);
    now += seconds(10);
    registrar.expire(now);
    check_state(registrar, now);
  }
  check_restored(store, registrar, random, now);
  return 0;
}
