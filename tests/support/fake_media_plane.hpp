#pragma once
#include <map>
#include <set>
#include <vector>

#include "call/media_plane.hpp"

namespace isthmus::sim {

/// A media plane that only keeps books: what is open, joined, and told. Ports from a small range,
/// so that exhaustion can be reached.
class FakeMediaPlane final : public call::MediaPlane {
 public:
  explicit FakeMediaPlane(IpAddress address, std::uint16_t first_port = 20000,
                          std::uint16_t pairs = 1000)
      : address_(address), first_port_(first_port), pairs_(pairs) {}

  struct End {
    bool link = false;
    std::uint64_t session = 0;
    call::LocalMedia local;
    call::RemoteMedia remote;
    call::MediaEndpointId peer = 0;
  };

  Result<call::LocalMedia, call::MediaError> open_network(bool) override {
    for (std::uint16_t i = 0; i < pairs_; ++i) {
      auto port = static_cast<std::uint16_t>(first_port_ + 2 * i);
      if (!ports_.insert(port).second) continue;
      return add({false, 0, {0, address_, port}, {}, 0});
    }
    return call::MediaError::ports_exhausted;
  }
  Result<call::LocalMedia, call::MediaError> open_link(std::uint64_t session) override {
    auto& next = next_channel_[session];
    if (next == 0) next = 16;
    std::uint16_t channel = next;
    next = static_cast<std::uint16_t>(next + 2);
    return add({true, session, {0, *IpAddress::parse("192.0.0.8"), channel}, {}, 0});
  }
  Result<call::LocalMedia, call::MediaError> open_service(call::MediaService) override {
    return add({false, 0, {0, address_, 0}, {}, 0});
  }
  void set_remote(call::MediaEndpointId id, const call::RemoteMedia& remote) override {
    ends.at(id).remote = remote;
  }
  void join(call::MediaEndpointId a, call::MediaEndpointId b) override {
    ends.at(a).peer = b;
    ends.at(b).peer = a;
  }
  void close(call::MediaEndpointId id) override {
    auto found = ends.find(id);
    if (found == ends.end()) return;
    ports_.erase(found->second.local.port);
    ends.erase(found);
  }
  call::MediaStatistics statistics(call::MediaEndpointId) const override { return {}; }
  std::optional<std::uint64_t> idle_ms(call::MediaEndpointId) const override { return idle; }

  bool play_digit(call::MediaEndpointId to, char digit, unsigned duration_ms) override {
    if (!ends.at(to).remote.events.plays() || digits_full) return false;
    played.push_back({to, digit, duration_ms});
    return true;
  }

  struct Played {
    call::MediaEndpointId to;
    char digit;
    unsigned duration_ms;
  };
  std::vector<Played> played;
  bool digits_full = false;
  std::map<call::MediaEndpointId, End> ends;
  std::optional<std::uint64_t> idle = 0;  ///< what idle_ms() says of every endpoint

 private:
  call::LocalMedia add(End end) {
    end.local.id = ++last_id_;
    ends[end.local.id] = end;
    return end.local;
  }
  IpAddress address_;
  std::uint16_t first_port_, pairs_;
  std::set<std::uint16_t> ports_;
  std::map<std::uint64_t, std::uint16_t> next_channel_;
  call::MediaEndpointId last_id_ = 0;
};

}  // namespace isthmus::sim
