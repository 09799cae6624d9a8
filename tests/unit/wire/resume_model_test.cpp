// A client and a gateway whose links are lost, cut, delayed, raced and replayed at random, on
// virtual time: whatever happens, every SIP frame of a session arrives once and in order, or the
// session is over with a reason.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <queue>
#include <set>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "session_support.hpp"
#include "wire/resume_tokens.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

constexpr std::uint32_t kWindowMs = 20'000;

/// How many frames of one session each end sent and got.
struct Tally {
  std::uint64_t client_sent = 0, gateway_got = 0, gateway_sent = 0, client_got = 0;
};

struct Totals {
  std::uint64_t resumes = 0, repeated = 0, duplicates = 0, refused = 0, replayed_hellos = 0;
  std::uint64_t overtaken = 0, survived = 0, frames = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), tokens_(random_) {}

  void run(Totals& totals) {
    dial_fresh();
    for (chaos_ends_ = now_ + seconds(12); now_ < chaos_ends_;) {
      step_to(now_ + milliseconds(1 + random_.below(120)));
      disturb();
      if (::testing::Test::HasFatalFailure()) return;
    }
    step_to(now_ + seconds(90));  // peace: every link works, the client comes back at last
    ASSERT_TRUE(client_ && client_->established());
    const auto found = sessions_.find(client_sid_);
    ASSERT_NE(found, sessions_.end());
    const Tally& tally = tallies_[client_sid_];
    EXPECT_EQ(tally.gateway_got, tally.client_sent);
    EXPECT_EQ(tally.client_got, tally.gateway_sent);
    EXPECT_EQ(client_->statistics().sip_frames_acked, tally.client_sent);
    totals.resumes += found->second.session->statistics().resumes;
    totals.repeated += client_->statistics().sip_frames_repeated +
                       found->second.session->statistics().sip_frames_repeated;
    totals.duplicates += client_->statistics().sip_frames_duplicate;
    totals.refused += refused_;
    totals.overtaken += overtaken_;
    totals.replayed_hellos += replayed_hellos_;
    totals.survived += client_sid_ == 1 ? 1 : 0;
    for (const auto& [sid, each] : tallies_) totals.frames += each.client_got + each.gateway_got;
  }

 private:
  struct Link {
    Duration delay{};
    Instant up_free{}, down_free{};
    bool cut = false;
    bool client_end = true, gateway_end = true;
    std::unique_ptr<ClientSession> greeting;  ///< until the client's session has the link
    std::unique_ptr<ServerSession> waiting;   ///< until a session of the gateway's has it
    std::string token;                        ///< with which the client asked for it
    std::uint32_t generation = 0;             ///< of the token in its Welcome
    bool forged = false;                      ///< a Hello replayed by somebody else
  };
  struct Held {
    std::unique_ptr<ServerSession> session;
    int link = 0;              ///< 0: none
    std::uint32_t proven = 0;  ///< newest token that the client has shown to have
  };
  struct Event {
    Instant at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void later(Duration wait, std::function<void()> run) {
    events_.push({now_ + wait, ++order_, std::move(run)});
  }
  Duration some_ms(std::uint64_t low, std::uint64_t high) {
    return milliseconds(low + random_.below(high - low + 1));
  }

  void step_to(Instant end) {
    for (;;) {
      std::optional<Instant> next;
      const auto consider = [&](std::optional<Instant> at) {
        if (at && (!next || *at < *next)) next = at;
      };
      if (!events_.empty()) consider(events_.top().at);
      if (client_) consider(client_->next_deadline());
      for (auto& [id, held] : sessions_) consider(held.session->next_deadline());
      for (auto& [id, link] : links_) {
        if (link.greeting) consider(link.greeting->next_deadline());
        if (link.waiting) consider(link.waiting->next_deadline());
      }
      if (!next || *next > end) {
        now_ = end;
        return;
      }
      now_ = std::max(now_, *next);
      if (!events_.empty() && events_.top().at <= now_) {
        const auto run = events_.top().run;
        events_.pop();
        run();
      } else {
        fire_timeouts();
      }
    }
  }
  void fire_timeouts() {
    if (client_) with_client([&](auto& out) { client_->on_timeout(now_, out); });
    std::vector<std::uint64_t> sids;
    for (auto& [sid, held] : sessions_) sids.push_back(sid);
    for (const std::uint64_t sid : sids) {
      with_session(sid, [&](auto& out) { sessions_[sid].session->on_timeout(now_, out); });
    }
    std::vector<int> ids;
    for (auto& [id, link] : links_) ids.push_back(id);
    for (const int id : ids) {
      if (links_[id].greeting) {
        with_greeting(id, [&](auto& out) { links_[id].greeting->on_timeout(now_, out); });
      }
      if (links_[id].waiting) {
        with_waiting(id, [&](auto& out) { links_[id].waiting->on_timeout(now_, out); });
      }
    }
  }

  // --- what goes wrong -------------------------------------------------------------------------

  void disturb() {
    switch (random_.below(10)) {
      case 0:
        if (client_link_ != 0) cut(client_link_);
        break;
      case 1:
        if (client_ && random_.below(3) == 0) dial_resume();  // a race, or a better network
        break;
      case 2:
        if (!seen_hellos_.empty() && random_.below(4) == 0) replay_hello();
        break;
      case 3:
        if (!links_.empty() && random_.below(4) == 0) {
          auto any = links_.begin();
          std::advance(any, static_cast<long>(random_.below(links_.size())));
          cut(any->first);
        }
        break;
      default:
        if (random_.below(2) == 0) {
          client_sends();
        } else {
          gateway_sends();
        }
    }
  }
  /// What is on its way is lost; each end notices after a while, or only by silence.
  void cut(int id) {
    Link& link = links_[id];
    if (link.cut) return;
    link.cut = true;
    if (random_.below(4) != 0) later(some_ms(0, 3000), [this, id] { client_end_lost(id); });
    if (random_.below(4) != 0) later(some_ms(0, 3000), [this, id] { gateway_end_lost(id); });
  }
  void replay_hello() {
    const int id = new_link();
    links_[id].client_end = false;
    links_[id].forged = true;
    ++replayed_hellos_;
    send_up(id, {kControlChannel, seen_hellos_[random_.below(seen_hellos_.size())]});
  }
  void client_sends() {
    if (!client_) return;
    Tally& tally = tallies_[client_sid_];
    with_client([&](auto& out) {
      if (client_->send_sip(as_bytes(std::to_string(tally.client_sent + 1)), out)) {
        ++tally.client_sent;
      }
    });
  }
  void gateway_sends() {
    const auto found = sessions_.find(client_sid_);
    if (found == sessions_.end()) return;
    Tally& tally = tallies_[client_sid_];
    with_session(client_sid_, [&](auto& out) {
      if (found->second.session->send_sip(as_bytes(std::to_string(tally.gateway_sent + 1)), out)) {
        ++tally.gateway_sent;
      }
    });
  }

  // --- the network -----------------------------------------------------------------------------

  int new_link() {
    std::set<int> used{client_link_};
    for (const auto& [sid, held] : sessions_) used.insert(held.link);
    std::erase_if(links_, [&](const auto& each) {
      return !each.second.greeting && !each.second.waiting && !used.contains(each.first);
    });
    const int id = ++last_link_;
    Link& link = links_[id];
    link.delay = some_ms(2, 250);
    link.waiting = std::make_unique<ServerSession>(now_);
    return id;
  }
  void send_up(int id, SendFrame frame) {
    Link& link = links_[id];
    if (link.cut) return;
    link.up_free = std::max(link.up_free, now_ + link.delay + some_ms(0, 20));
    later(link.up_free - now_, [this, id, frame = std::move(frame)] {
      Link& to = links_[id];
      if (to.cut || !to.gateway_end) return;
      if (to.waiting) {
        with_waiting(
            id, [&](auto& out) { to.waiting->on_frame(frame.channel, frame.bytes, now_, out); });
        return;
      }
      for (auto& [sid, held] : sessions_) {
        if (held.link != id) continue;
        held.proven = std::max(held.proven, to.generation);
        auto& session = held.session;  // clang 14's lambdas capture no structured binding
        with_session(sid,
                     [&](auto& out) { session->on_frame(frame.channel, frame.bytes, now_, out); });
        return;
      }
    });
  }
  void send_down(int id, SendFrame frame) {
    Link& link = links_[id];
    if (link.cut || link.forged) return;
    link.down_free = std::max(link.down_free, now_ + link.delay + some_ms(0, 20));
    later(link.down_free - now_, [this, id, frame = std::move(frame)] {
      Link& to = links_[id];
      if (to.cut || !to.client_end) return;
      if (to.greeting) {
        with_greeting(
            id, [&](auto& out) { to.greeting->on_frame(frame.channel, frame.bytes, now_, out); });
      } else if (client_link_ == id) {
        with_client([&](auto& out) { client_->on_frame(frame.channel, frame.bytes, now_, out); });
      }
    });
  }
  /// The client closes its socket: the gateway hears of it, if the link still carries that.
  void client_closes(int id) {
    Link& link = links_[id];
    link.client_end = false;
    link.greeting.reset();
    if (link.cut) return;
    link.up_free = std::max(link.up_free, now_ + link.delay);
    later(link.up_free - now_, [this, id] {
      if (!links_[id].cut) gateway_end_lost(id);
    });
  }
  void gateway_closes(int id, CloseCode code) {
    Link& link = links_[id];
    link.gateway_end = false;
    link.waiting.reset();
    if (link.cut) return;
    link.down_free = std::max(link.down_free, now_ + link.delay);
    later(link.down_free - now_, [this, id, code] {
      if (!links_[id].cut) client_end_lost(id, code);
    });
  }
  void client_end_lost(int id, CloseCode code = CloseCode::going_away) {
    Link& link = links_[id];
    if (!link.client_end) return;
    link.client_end = false;
    if (link.greeting) {
      link.greeting.reset();
      attempt_failed();
    } else if (client_link_ == id) {
      client_link_ = 0;
      with_client([&](auto& out) { client_->on_link_lost(code, "lost", now_, out); });
      if (client_) retry_soon();
    }
  }
  void gateway_end_lost(int id) {
    Link& link = links_[id];
    if (!link.gateway_end) return;
    link.gateway_end = false;
    link.waiting.reset();
    for (auto& [sid, held] : sessions_) {
      if (held.link != id) continue;
      held.link = 0;
      auto& session = held.session;
      with_session(
          sid, [&](auto& out) { session->on_link_lost(CloseCode::going_away, "lost", now_, out); });
      return;
    }
  }

  // --- the client ------------------------------------------------------------------------------

  void dial_fresh() {
    client_.reset();
    dial(hello_info());
  }
  void dial_resume() {
    if (auto hello = client_->resume_hello(hello_info())) dial(*hello);
  }
  void dial(const HelloInfo& hello) {
    const int id = new_link();
    if (const auto* resume = std::get_if<ResumeCredentials>(&hello.credentials)) {
      links_[id].token = resume->token;
    }
    links_[id].greeting = std::make_unique<ClientSession>();
    with_greeting(id, [&](auto& out) { links_[id].greeting->start(hello, now_, out); });
  }
  std::string client_token() const {
    const auto hello = client_ ? client_->resume_hello(hello_info()) : std::nullopt;
    return hello ? std::get<ResumeCredentials>(hello->credentials).token : std::string();
  }
  void retry_soon() {
    later(some_ms(0, 1500), [this] {
      if (client_ && !client_->detached()) return;
      if (!client_) {
        if (!dialing()) dial_fresh();
        return;
      }
      const std::uint64_t race = 1 + random_.below(3);
      for (std::uint64_t i = 0; i < race; ++i) dial_resume();
    });
  }
  bool dialing() const {
    for (const auto& [id, link] : links_) {
      if (link.greeting) return true;
    }
    return false;
  }
  void attempt_failed() {
    if (!dialing() && (!client_ || client_->detached())) retry_soon();
  }
  void client_over(const SessionClosed& closed) {
    EXPECT_FALSE(closed.reason.empty());
    EXPECT_TRUE(closed.code == CloseCode::timeout || closed.code == CloseCode::resume_refused)
        << "a client's session ended though its window was not over: " << closed.reason;
    if (client_link_ != 0) client_closes(client_link_);
    client_link_ = 0;
    client_.reset();
    for (auto& [id, link] : links_) {
      if (link.greeting) client_closes(id);
    }
    retry_soon();
  }
  template <typename Input>
  void with_client(Input input) {
    if (!client_) return;
    SessionEvents out;
    input(out);
    drain_client(out);
  }
  void drain_client(SessionEvents& out) {
    for (SessionEvent& event : out) {
      if (auto* frame = std::get_if<SendFrame>(&event)) {
        if (client_link_ != 0) send_up(client_link_, *frame);
      } else if (auto* sip = std::get_if<SipFrameReceived>(&event)) {
        ASSERT_EQ(sip->bytes, std::to_string(++tallies_[client_sid_].client_got));
      } else if (std::get_if<LinkLost>(&event) != nullptr) {
        client_closes(client_link_);
        client_link_ = 0;
        retry_soon();
      } else if (auto* closed = std::get_if<SessionClosed>(&event)) {
        return client_over(*closed);
      }
    }
  }
  template <typename Input>
  void with_greeting(int id, Input input) {
    SessionEvents out;
    input(out);
    for (SessionEvent& event : out) {
      if (auto* frame = std::get_if<SendFrame>(&event)) {
        if (describe_control(frame->bytes) == "hello") remember(frame->bytes);
        send_up(id, *frame);
      } else if (auto* welcomed = std::get_if<SessionEstablished>(&event)) {
        return adopt(id, welcomed->welcome);
      } else if (auto* closed = std::get_if<SessionClosed>(&event)) {
        client_closes(id);
        if (closed->code != CloseCode::resume_refused) return attempt_failed();
        ++refused_;
        if (!client_ || client_->established()) return;  // another attempt won
        if (dialing()) return;
        if (links_[id].token != client_token()) return attempt_failed();  // one that won before
        return client_over({closed->code, closed->reason});
      }
    }
  }
  void remember(const Bytes& hello) {
    v1::ControlMessage message;
    ASSERT_TRUE(parse_control(hello, message));
    if (message.hello().has_resume()) seen_hellos_.push_back(hello);
  }
  void adopt(int id, const WelcomeInfo& welcome) {
    std::unique_ptr<ClientSession> greeting = std::move(links_[id].greeting);
    const int before = client_link_;
    if (!client_) {
      client_ = std::move(greeting);
      client_sid_ = welcome.session_id;
      client_link_ = id;
    } else {
      ASSERT_EQ(client_sid_, welcome.session_id);
      SessionEvents out;
      if (!client_->adopt(*greeting, welcome, now_, out)) {
        ++overtaken_;
        client_closes(id);
        return attempt_failed();
      }
      client_link_ = id;
      drain_client(out);
    }
    if (before != 0) client_closes(before);
    for (auto& [other, link] : links_) {
      if (link.greeting && random_.below(2) == 0) client_closes(other);  // the rest may go on
    }
  }

  // --- the gateway -----------------------------------------------------------------------------

  template <typename Input>
  void with_session(std::uint64_t sid, Input input) {
    SessionEvents out;
    input(out);
    for (SessionEvent& event : out) {
      Held& held = sessions_[sid];
      if (auto* frame = std::get_if<SendFrame>(&event)) {
        if (held.link != 0) send_down(held.link, *frame);
      } else if (auto* sip = std::get_if<SipFrameReceived>(&event)) {
        ASSERT_EQ(sip->bytes, std::to_string(++tallies_[sid].gateway_got));
      } else if (std::get_if<LinkLost>(&event) != nullptr) {
        gateway_closes(std::exchange(held.link, 0), CloseCode::timeout);
      } else if (auto* closed = std::get_if<SessionClosed>(&event)) {
        EXPECT_FALSE(closed->reason.empty());
        if (held.link != 0) gateway_closes(held.link, closed->code);
        later(Duration{}, [this, sid] { sessions_.erase(sid); });
      }
    }
  }
  template <typename Input>
  void with_waiting(int id, Input input) {
    SessionEvents out;
    input(out);
    for (SessionEvent& event : out) {
      if (auto* frame = std::get_if<SendFrame>(&event)) {
        send_down(id, *frame);
      } else if (auto* hello = std::get_if<AuthenticateHello>(&event)) {
        return judge(id, hello->hello);
      } else if (auto* closed = std::get_if<SessionClosed>(&event)) {
        gateway_closes(id, closed->code);
      }
    }
  }
  void judge(int id, const HelloInfo& hello) {
    WelcomeInfo welcome = welcome_info(3000);
    welcome.resume_window_ms = kWindowMs;
    const auto* resume = std::get_if<ResumeCredentials>(&hello.credentials);
    if (resume == nullptr) {
      const std::uint64_t sid = ++last_sid_;
      sessions_[sid] = {std::move(links_[id].waiting), id};
      welcome.session_id = sid;
      welcome.resume_token = tokens_.issue({sid, ResumeGenerations::kFirst});
      return with_session(sid,
                          [&](auto& out) { sessions_[sid].session->accept(welcome, now_, out); });
    }
    const auto claim = tokens_.open(resume->token);
    ASSERT_TRUE(claim);
    const auto found = sessions_.find(claim->session);
    const bool stands = found != sessions_.end() && !found->second.session->closed();
    if (!stands || !found->second.session->can_resume(claim->generation, resume->sip_frames)) {
      EXPECT_FALSE(stands && resume->token == client_token() && links_[id].client_end)
          << "a client that has done nothing wrong lost its session";
      return with_waiting(id, [&](auto& out) {
        links_[id].waiting->reject(CloseCode::resume_refused, "no such session", 0, out);
      });
    }
    EXPECT_GE(claim->generation, found->second.proven)
        << "a token was good after the next had come";
    const int before = std::exchange(found->second.link, id);
    if (before != 0) gateway_closes(before, CloseCode::replaced);
    links_[id].generation = claim->generation + 1;
    welcome.session_id = claim->session;
    const std::unique_ptr<ServerSession> greeting = std::move(links_[id].waiting);
    with_session(claim->session, [&](auto& out) {
      found->second.session->resume(*greeting, claim->generation, resume->sip_frames, welcome,
                                    tokens_, now_, out);
    });
    expect_few_tokens(*found->second.session, claim->generation);
  }
  static void expect_few_tokens(const ServerSession& session, std::uint32_t around) {
    int good = 0;
    for (std::uint32_t each = around < 3 ? 0 : around - 3; each < around + 4; ++each) {
      good += session.can_resume(each, 0) ? 1 : 0;
    }
    EXPECT_LE(good, 2) << "tokens that are good at a time";
  }

  SeededRandom random_;
  ResumeTokens tokens_;
  Instant now_ = kStart, chaos_ends_{};
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::map<int, Link> links_;
  int last_link_ = 0;
  std::unique_ptr<ClientSession> client_;
  std::uint64_t client_sid_ = 0, last_sid_ = 0;
  int client_link_ = 0;
  std::map<std::uint64_t, Held> sessions_;
  std::map<std::uint64_t, Tally> tallies_;
  std::vector<Bytes> seen_hellos_;
  std::uint64_t refused_ = 0, replayed_hellos_ = 0, overtaken_ = 0;
};

TEST(ResumeModel, every_sip_frame_arrives_once_and_in_order_whatever_befalls_the_links) {
  constexpr std::uint64_t kSchedules = 2000;
  Totals totals;
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.run(totals);
    if (HasFailure()) return;
  }
  std::printf(
      "%llu schedules: %llu frames, %llu resumes, %llu sent again, %llu dropped as "
      "duplicates, %llu refused, %llu overtaken, %llu Hellos replayed, %llu first sessions "
      "survived\n",
      static_cast<unsigned long long>(kSchedules), static_cast<unsigned long long>(totals.frames),
      static_cast<unsigned long long>(totals.resumes),
      static_cast<unsigned long long>(totals.repeated),
      static_cast<unsigned long long>(totals.duplicates),
      static_cast<unsigned long long>(totals.refused),
      static_cast<unsigned long long>(totals.overtaken),
      static_cast<unsigned long long>(totals.replayed_hellos),
      static_cast<unsigned long long>(totals.survived));
  // The schedules must reach what they are for.
  EXPECT_GT(totals.resumes, kSchedules);
  EXPECT_GT(totals.repeated, kSchedules);
  EXPECT_GT(totals.duplicates, 0u);
  EXPECT_GT(totals.refused, 0u);
  EXPECT_GT(totals.overtaken, 0u);
  EXPECT_GT(totals.replayed_hellos, kSchedules);
  EXPECT_GT(totals.survived, kSchedules / 2) << "sessions of which the client saw the Welcome";
}

}  // namespace
}  // namespace isthmus::wire
