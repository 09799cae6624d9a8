#pragma once
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/random.hpp"
#include "base/time.hpp"

namespace isthmus::sim {

/// Something that lives in a simulated world: a phone, a gateway, a connector.
class Node {
 public:
  virtual ~Node() = default;
  virtual void on_udp(const Endpoint& from, const Endpoint& to, std::string bytes, Instant now) = 0;
  virtual void on_link(std::uint64_t session, std::string bytes, Instant now) = 0;
  virtual void on_timeout(Instant now) = 0;
  virtual std::optional<Instant> next_deadline() const = 0;
};

/// Virtual time and a network: UDP with seeded loss, delay and so reordering; links in order and
/// without loss. The same seed gives the same run.
class World {
 public:
  explicit World(std::uint64_t seed) : random(seed) {}

  SeededRandom random;
  Instant now{std::chrono::hours(1)};
  double udp_loss = 0;
  Duration udp_delay_min = milliseconds(1), udp_delay_max = milliseconds(1);
  Duration link_delay = milliseconds(10);

  void attach_udp(const Endpoint& address, Node& node);
  void detach_udp(const Endpoint& address) { udp_.erase(address); }
  void add(Node& node) { nodes_.push_back(&node); }
  /// Joins two nodes by a link; each knows it by its own session number.
  void attach_link(Node& a, std::uint64_t session_at_a, Node& b, std::uint64_t session_at_b);
  void detach_link(Node& a, std::uint64_t session_at_a);

  void send_udp(const Endpoint& from, const Endpoint& to, std::string bytes);
  void send_link(Node& from, std::uint64_t session, std::string bytes);

  /// Runs for that long of virtual time.
  void run_for(Duration span);
  /// Runs until the condition holds or the time is up. @return whether it holds.
  bool run_until(const std::function<bool()>& condition, Duration limit = std::chrono::minutes(5));

  std::uint64_t udp_sent = 0, udp_lost = 0;
  /// Every datagram and link frame that was sent, for assertions on what crossed.
  std::vector<std::string> sent_to(const Endpoint& to) const;

 private:
  struct Delivery {
    Instant at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator>(const Delivery& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct LinkEnd {
    Node* node;
    std::uint64_t session;
    auto operator<=>(const LinkEnd&) const = default;
  };
  bool step(Instant limit);

  std::priority_queue<Delivery, std::vector<Delivery>, std::greater<>> queue_;
  std::uint64_t order_ = 0;
  std::vector<Node*> nodes_;
  std::map<Endpoint, Node*> udp_;
  std::map<LinkEnd, LinkEnd> links_;
  std::vector<std::pair<Endpoint, std::string>> trace_;
};

}  // namespace isthmus::sim
