#include <algorithm>
#include <list>

#include "call_session.hpp"

namespace phone {
namespace {

class RegisterCommand {
 public:
  explicit RegisterCommand(const Options& options)
      : options_(options), report_(options.json, options.quiet) {}

  int run();

 private:
  struct Ringing {
    isthmus::Call call;
    std::string peer;
    Clock::time_point answer_at;
  };

  void handle(Event& event);
  void on_connection(const isthmus::ConnectionEvent& event);
  void on_registration(const isthmus::RegistrationEvent& event);
  void on_incoming(const Incoming& incoming);
  void on_call(const CallChange& change);
  void answer(const Ringing& ringing);
  void stop(int exit_code);
  void on_time(Clock::time_point now);
  Clock::time_point deadline() const;
  CallSession* find(const isthmus::Call& call);

  const Options& options_;
  Report report_;
  EventQueue queue_;
  std::unique_ptr<isthmus::Client> client_;
  std::list<CallSession> sessions_;
  std::vector<Ringing> ringing_;
  isthmus::SessionInfo info_;
  std::optional<Clock::time_point> register_by_;
  std::optional<int> stopping_;
  unsigned taken_ = 0, ended_ = 0;
};

int RegisterCommand::run() {
  auto made = isthmus::Client::create(options_.client, queue_.handlers(options_.answer));
  if (!made) {
    report_.error(made.error().text);
    return exit_code_of(made.error());
  }
  client_ = std::move(*made);
  register_by_ = Clock::now() + to_duration(options_.answer_timeout_s);
  client_->register_(std::chrono::seconds(options_.expires_s));
  client_->connect();
  while (!stopping_ || !sessions_.empty()) {
    if (auto event = queue_.next(deadline())) handle(*event);
    on_time(Clock::now());
  }
  client_->disconnect();
  return *stopping_;
}

Clock::time_point RegisterCommand::deadline() const {
  Clock::time_point next = register_by_.value_or(Clock::time_point::max());
  for (const CallSession& session : sessions_) next = std::min(next, session.next_deadline());
  for (const Ringing& call : ringing_) next = std::min(next, call.answer_at);
  return next;
}

void RegisterCommand::on_time(Clock::time_point now) {
  if (register_by_ && now >= *register_by_) {
    report_.error("not registered in time");
    stop(kTimeout);
  }
  for (CallSession& session : sessions_) session.on_time(now);
  std::vector<Ringing> due;
  std::erase_if(ringing_, [&](const Ringing& call) {
    if (call.answer_at > now) return false;
    due.push_back(call);
    return true;
  });
  for (const Ringing& call : due) answer(call);
}

void RegisterCommand::stop(int exit_code) {
  register_by_.reset();
  if (stopping_) return;
  stopping_ = exit_code;
  for (CallSession& session : sessions_) session.hang_up("the phone ends", kCompleted);
}

CallSession* RegisterCommand::find(const isthmus::Call& call) {
  const auto found =
      std::ranges::find_if(sessions_, [&](const CallSession& s) { return s.call() == call; });
  return found == sessions_.end() ? nullptr : &*found;
}

void RegisterCommand::handle(Event& event) {
  const auto now = Clock::now();
  if (auto* connection = std::get_if<Connection>(&event)) {
    on_connection(connection->event);
  } else if (auto* registration = std::get_if<Registration>(&event)) {
    on_registration(registration->event);
  } else if (auto* incoming = std::get_if<Incoming>(&event)) {
    on_incoming(*incoming);
  } else if (auto* change = std::get_if<CallChange>(&event)) {
    on_call(*change);
  } else if (auto* all = std::get_if<Statistics>(&event)) {
    if (const auto now_is = client_->session(); !now_is.gateway.empty()) info_ = now_is;
    if (CallSession* session = find(all->call)) {
      session->on_statistics(all->statistics, info_, now);
    }
  } else if (auto* digit = std::get_if<Digit>(&event)) {
    if (CallSession* session = find(digit->call)) session->on_digit(digit->digit);
  } else {
    stop(kCompleted);
  }
}

void RegisterCommand::on_connection(const isthmus::ConnectionEvent& event) {
  if (event.state == isthmus::ConnectionState::connected) info_ = client_->session();
  report_.connection(event, info_);
  if (event.state != isthmus::ConnectionState::disconnected || stopping_) return;
  report_.error(event.error.text);
  stop(exit_code_of(event.error));
}

void RegisterCommand::on_registration(const isthmus::RegistrationEvent& event) {
  if (stopping_) return;
  report_.registration(event);
  if (event.state == isthmus::RegistrationState::registered) register_by_.reset();
  if (event.state != isthmus::RegistrationState::failed || event.retry_in) return;
  report_.error("registration failed: " + event.reason);
  const bool credentials = event.status == 401 || event.status == 403 || event.status == 407;
  stop(credentials ? kAuthentication : kRefused);
}

void RegisterCommand::on_incoming(const Incoming& incoming) {
  report_.incoming(incoming.info);
  isthmus::Call call = incoming.call;
  const bool full = options_.count != 0 && taken_ >= options_.count;
  // One file takes one recording at a time.
  const bool file_busy = !options_.audio.record_file.empty() && !sessions_.empty() &&
                         options_.audio.record_file.find("%n") == std::string::npos;
  if (stopping_ || full || file_busy) {
    (void)call.reject(486);
    return;
  }
  ++taken_;
  const Ringing ringing{call, incoming.info.from_uri,
                        Clock::now() + to_duration(options_.answer_after_s)};
  if (options_.answer_after_s > 0) {
    ringing_.push_back(ringing);
  } else {
    answer(ringing);
  }
}

void RegisterCommand::answer(const Ringing& ringing) {
  isthmus::Call call = ringing.call;
  const auto answered =
      with_audio(options_, report_, audio_of_call(options_, taken_),
                 [&call](const isthmus::AudioOptions& audio) { return call.answer(audio); });
  if (!answered) {
    report_.error(answered.error().text);
    (void)call.reject(480);
    --taken_;
    return;
  }
  sessions_.emplace_back(options_, report_, call, ringing.peer);
}

void RegisterCommand::on_call(const CallChange& change) {
  const bool over = change.event.state == isthmus::CallState::ended;
  CallSession* session = find(change.call);
  if (session == nullptr) {  // rang, and was never answered
    report_.call(change.event);
    if (over && std::erase_if(ringing_, [&](const Ringing& r) { return r.call == change.call; })) {
      --taken_;
    }
    return;
  }
  session->on_change(change.event, Clock::now());
  if (!session->ended()) return;
  Summary summary = session->summary();
  summary.session = info_;
  report_.summary(summary);
  sessions_.remove_if([&](const CallSession& s) { return s.call() == change.call; });
  ++ended_;
  if (options_.count != 0 && ended_ >= options_.count) stop(summary.exit_code);
}

}  // namespace

int run_register(const Options& options) {
  return RegisterCommand(options).run();
}

}  // namespace phone
