#include "net/dns.hpp"

// c-ares 1.34 marks as old what 1.18 has instead of its successors.
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <utility>

#include "base/limits.hpp"
#include "dns/message.hpp"

namespace isthmus::net {

namespace asio = boost::asio;

namespace {

constexpr int kClassInternet = 1, kTypeSrv = 33, kTypeNaptr = 35;
constexpr seconds kUnstatedNegative{30};  // c-ares does not tell how long "none" holds

/// c-ares is set up once for the process, and never taken down: it holds nothing on this system.
int library_status() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

dns::Status status_of(int ares_status) {
  if (ares_status == ARES_SUCCESS) return dns::Status::found;
  bool none = ares_status == ARES_ENODATA || ares_status == ARES_ENOTFOUND;
  return none ? dns::Status::none : dns::Status::failed;
}

void add_address(const ares_addrinfo_node& node, dns::Answer& answer) {
  IpAddress address;
  if (node.ai_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, node.ai_addr, sizeof v4);
    address = IpAddress::v4(ntohl(v4.sin_addr.s_addr));
  } else if (node.ai_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, node.ai_addr, sizeof v6);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    address = IpAddress::v6(bytes);
  } else {
    return;
  }
  bool known = std::find(answer.addresses.begin(), answer.addresses.end(), address) !=
               answer.addresses.end();
  if (!known && answer.addresses.size() < limits::kDnsRecords) answer.addresses.push_back(address);
  // Of the hosts file: 0, and so is asked for again after limits::kDnsLeastLife.
  answer.ttl = std::min(answer.ttl, seconds(std::max(0, node.ai_ttl)));
}

dns::Answer answer_of(int status, const ares_addrinfo* found) {
  dns::Answer answer;
  answer.status = status_of(status);
  answer.ttl = answer.status == dns::Status::found ? limits::kDnsMostLife : kUnstatedNegative;
  if (answer.status != dns::Status::found || found == nullptr) return answer;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    add_address(*node, answer);
  }
  for (const ares_addrinfo_cname* alias = found->cnames; alias != nullptr; alias = alias->next) {
    answer.ttl = std::min(answer.ttl, seconds(std::max(0, alias->ttl)));
  }
  if (answer.addresses.empty()) answer.status = dns::Status::none;
  return answer;
}

}  // namespace

class Dns::State : public std::enable_shared_from_this<Dns::State> {
 public:
  State(asio::io_context& io, DnsOptions options)
      : io_(io), timer_(io), options_(std::move(options)) {
    if (!options_.clock) options_.clock = [] { return std::chrono::steady_clock::now(); };
  }

  std::string open();
  void close();
  void ask(const dns::Question& question, Callback callback);

  Counters counters;

 private:
  /// A socket of c-ares, which opens, reads and closes it; here it is only watched.
  struct Socket {
    explicit Socket(asio::io_context& io) : descriptor(io) {}
    asio::posix::stream_descriptor descriptor;
    bool want_read = false, want_write = false;
    bool reading = false, writing = false;
  };
  struct Entry {
    bool pending = true;
    Instant expires{};
    dns::Answer answer;
    std::vector<Callback> waiters;
  };
  struct Query {  ///< what c-ares hands back
    State& state;
    dns::Question question;
  };

  void reply(Callback callback, const dns::Question& question, const dns::Answer& answer);
  bool make_room(Instant now);
  void query(const dns::Question& question);
  void finish(const dns::Question& question, dns::Answer answer);
  void on_socket(ares_socket_t fd, bool readable, bool writable);
  void watch(ares_socket_t fd, const std::shared_ptr<Socket>& socket);
  void on_ready(ares_socket_t fd, const std::shared_ptr<Socket>& socket, bool readable);
  void arm_timer();

  asio::io_context& io_;
  asio::steady_timer timer_;
  DnsOptions options_;
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, std::shared_ptr<Socket>> sockets_;
  std::map<dns::Question, Entry> entries_;
  std::size_t in_flight_ = 0;
};

std::string Dns::State::open() {
  if (int status = library_status(); status != ARES_SUCCESS) return ares_strerror(status);
  ares_options options{};
  options.timeout = static_cast<int>(options_.timeout.count());
  options.tries = static_cast<int>(options_.tries);
  options.sock_state_cb = [](void* data, ares_socket_t fd, int readable, int writable) {
    static_cast<State*>(data)->on_socket(fd, readable != 0, writable != 0);
  };
  options.sock_state_cb_data = this;
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&channel_, &options, mask);
  if (status != ARES_SUCCESS) {
    channel_ = nullptr;
    return ares_strerror(status);
  }
  if (options_.servers.empty()) return {};
  std::string servers;
  for (const Endpoint& server : options_.servers) {
    servers += (servers.empty() ? "" : ",") + server.to_string();
  }
  status = ares_set_servers_ports_csv(channel_, servers.c_str());
  return status == ARES_SUCCESS ? std::string() : ares_strerror(status);
}

void Dns::State::close() {
  timer_.cancel();
  // Ends what is under way, with callbacks that find nobody waiting any more.
  entries_.clear();
  if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  sockets_.clear();
}

void Dns::State::reply(Callback callback, const dns::Question& question,
                       const dns::Answer& answer) {
  asio::post(io_, [weak = weak_from_this(), callback = std::move(callback), question, answer] {
    if (auto self = weak.lock(); self && self->channel_ != nullptr) callback(question, answer);
  });
}

/// Forgets what has expired, or what would next. @return whether there is room for one more.
bool Dns::State::make_room(Instant now) {
  if (entries_.size() < limits::kDnsQuestions) return true;
  std::erase_if(entries_, [now](const auto& entry) {
    return !entry.second.pending && entry.second.expires <= now;
  });
  if (entries_.size() < limits::kDnsQuestions) return true;
  auto next = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.pending) continue;
    if (next == entries_.end() || entry->second.expires < next->second.expires) next = entry;
  }
  if (next == entries_.end()) return false;
  entries_.erase(next);
  return true;
}

void Dns::State::ask(const dns::Question& question, Callback callback) {
  Instant now = options_.clock();
  auto found = entries_.find(question);
  if (found != entries_.end() && !found->second.pending && found->second.expires > now) {
    ++counters.cached;
    dns::Answer answer = found->second.answer;
    answer.ttl = std::chrono::duration_cast<seconds>(found->second.expires - now);
    return reply(std::move(callback), question, answer);
  }
  bool under_way = found != entries_.end() && found->second.pending;
  bool refused = under_way ? found->second.waiters.size() >= limits::kDnsWaiters
                           : in_flight_ >= limits::kDnsInFlight ||
                                 (found == entries_.end() && !make_room(now));
  if (refused) {
    ++counters.refused;
    return reply(std::move(callback), question, {});
  }
  Entry& entry = entries_[question];
  entry.pending = true;
  entry.waiters.push_back(std::move(callback));
  if (!under_way) query(question);
}

void Dns::State::query(const dns::Question& question) {
  ++counters.queries;
  ++in_flight_;
  // c-ares calls back exactly once, perhaps before it returns.
  auto* query = new Query{*this, question};
  if (question.type == dns::Type::a || question.type == dns::Type::aaaa) {
    ares_addrinfo_hints hints{};
    hints.ai_family = question.type == dns::Type::a ? AF_INET : AF_INET6;
    hints.ai_socktype = SOCK_DGRAM;  // one node for each address, not one for each kind of socket
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(
        channel_, question.name.c_str(), nullptr, &hints,
        [](void* argument, int status, int, ares_addrinfo* found) {
          std::unique_ptr<Query> ended(static_cast<Query*>(argument));
          ended->state.finish(ended->question, answer_of(status, found));
          ares_freeaddrinfo(found);
        },
        query);
  } else {
    int type = question.type == dns::Type::srv ? kTypeSrv : kTypeNaptr;
    ares_query(
        channel_, question.name.c_str(), kClassInternet, type,
        [](void* argument, int status, int, unsigned char* bytes, int size) {
          std::unique_ptr<Query> ended(static_cast<Query*>(argument));
          dns::Answer answer{status_of(status), kUnstatedNegative};
          if (bytes != nullptr && size > 0) {
            answer = dns::parse_response(ended->question, {bytes, static_cast<std::size_t>(size)});
          } else if (answer.status == dns::Status::found) {
            answer.status = dns::Status::failed;
          }
          ended->state.finish(ended->question, std::move(answer));
        },
        query);
  }
  arm_timer();
}

void Dns::State::finish(const dns::Question& question, dns::Answer answer) {
  --in_flight_;
  if (answer.status == dns::Status::failed) ++counters.failures;
  auto found = entries_.find(question);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  for (Callback& callback : std::exchange(entry.waiters, {})) {
    reply(std::move(callback), question, answer);
  }
  if (answer.status == dns::Status::failed) {
    entries_.erase(found);
    return;
  }
  entry.pending = false;
  entry.expires =
      options_.clock() + std::clamp(answer.ttl, limits::kDnsLeastLife, limits::kDnsMostLife);
  entry.answer = std::move(answer);
}

void Dns::State::on_socket(ares_socket_t fd, bool readable, bool writable) {
  auto found = sockets_.find(fd);
  if (!readable && !writable) {  // c-ares is about to close it
    if (found == sockets_.end()) return;
    found->second->descriptor.release();
    sockets_.erase(found);
    return;
  }
  if (found == sockets_.end()) {
    auto socket = std::make_shared<Socket>(io_);
    boost::system::error_code error;
    socket->descriptor.assign(fd, error);
    if (error) return;  // the query ends by its timeout
    found = sockets_.emplace(fd, std::move(socket)).first;
  }
  found->second->want_read = readable;
  found->second->want_write = writable;
  watch(fd, std::shared_ptr<Socket>(found->second));
}

void Dns::State::watch(ares_socket_t fd, const std::shared_ptr<Socket>& socket) {
  using Wait = asio::posix::stream_descriptor;
  auto wait = [&](bool want, bool Socket::*waiting, Wait::wait_type what, bool readable) {
    if (!want || (*socket).*waiting) return;
    (*socket).*waiting = true;
    socket->descriptor.async_wait(what, [weak = weak_from_this(), fd, socket, waiting,
                                         readable](const boost::system::error_code& error) {
      (*socket).*waiting = false;
      auto self = weak.lock();
      if (!error && self && self->channel_ != nullptr) self->on_ready(fd, socket, readable);
    });
  };
  wait(socket->want_read, &Socket::reading, Wait::wait_read, true);
  wait(socket->want_write, &Socket::writing, Wait::wait_write, false);
}

void Dns::State::on_ready(ares_socket_t fd, const std::shared_ptr<Socket>& socket, bool readable) {
  auto is_open = [&] {
    auto found = sockets_.find(fd);
    return found != sockets_.end() && found->second == socket;
  };
  if (!is_open()) return;  // the number may be another socket's by now
  ares_process_fd(channel_, readable ? fd : ARES_SOCKET_BAD, readable ? ARES_SOCKET_BAD : fd);
  if (is_open()) watch(fd, socket);
  arm_timer();
}

void Dns::State::arm_timer() {
  timeval wait{};
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec) +
                       milliseconds(1));  // not before it is due
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    auto self = weak.lock();
    if (error || !self || self->channel_ == nullptr) return;
    ares_process_fd(self->channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    self->arm_timer();
  });
}

Result<std::unique_ptr<Dns>, std::string> Dns::open(asio::io_context& io, DnsOptions options) {
  auto state = std::make_shared<State>(io, std::move(options));
  std::unique_ptr<Dns> dns(new Dns(state));
  if (std::string fault = state->open(); !fault.empty()) return fault;
  return dns;
}

Dns::~Dns() {
  state_->close();
}

void Dns::ask(const dns::Question& question, Callback callback) {
  state_->ask(question, std::move(callback));
}

const Dns::Counters& Dns::counters() const {
  return state_->counters;
}

}  // namespace isthmus::net
