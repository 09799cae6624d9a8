#include "support/sim_world.hpp"

namespace isthmus::sim {

void World::attach_udp(const Endpoint& address, Node& node) {
  udp_[address] = &node;
}

void World::attach_link(Node& a, std::uint64_t session_at_a, Node& b, std::uint64_t session_at_b) {
  links_[{&a, session_at_a}] = {&b, session_at_b};
  links_[{&b, session_at_b}] = {&a, session_at_a};
}

void World::detach_link(Node& a, std::uint64_t session_at_a) {
  auto found = links_.find({&a, session_at_a});
  if (found == links_.end()) return;
  links_.erase(found->second);
  links_.erase({&a, session_at_a});
}

void World::send_udp(const Endpoint& from, const Endpoint& to, std::string bytes) {
  ++udp_sent;
  trace_.emplace_back(to, bytes);
  if (static_cast<double>(random.below(1'000'000)) < udp_loss * 1e6) {
    ++udp_lost;
    return;
  }
  auto spread = static_cast<std::uint64_t>((udp_delay_max - udp_delay_min).count());
  Duration delay = udp_delay_min + Duration(spread ? random.below(spread) : 0);
  queue_.push({now + delay, order_++, [this, from, to, bytes = std::move(bytes)] {
                 auto node = udp_.find(to);
                 if (node != udp_.end()) node->second->on_udp(from, to, bytes, now);
               }});
}

void World::send_link(Node& from, std::uint64_t session, std::string bytes) {
  LinkEnd sender{&from, session};
  queue_.push({now + link_delay, order_++, [this, sender, bytes = std::move(bytes)] {
                 auto peer = links_.find(sender);
                 if (peer != links_.end())
                   peer->second.node->on_link(peer->second.session, bytes, now);
               }});
}

bool World::step(Instant limit) {
  std::optional<Instant> next;
  if (!queue_.empty()) next = queue_.top().at;
  Node* timer = nullptr;
  for (Node* node : nodes_) {
    std::optional<Instant> deadline = node->next_deadline();
    if (deadline && (!next || *deadline < *next)) {
      next = deadline;
      timer = node;
    }
  }
  if (!next || *next > limit) {
    now = limit;
    return false;
  }
  now = std::max(now, *next);
  if (timer) {
    timer->on_timeout(now);
  } else {
    auto run = queue_.top().run;
    queue_.pop();
    run();
  }
  return true;
}

void World::run_for(Duration span) {
  Instant limit = now + span;
  while (step(limit)) {
  }
}

bool World::run_until(const std::function<bool()>& condition, Duration limit_span) {
  Instant limit = now + limit_span;
  while (!condition()) {
    if (!step(limit)) return condition();
  }
  return true;
}

std::vector<std::string> World::sent_to(const Endpoint& to) const {
  std::vector<std::string> out;
  for (const auto& [address, bytes] : trace_) {
    if (address == to) out.push_back(bytes);
  }
  return out;
}

}  // namespace isthmus::sim
