#include <algorithm>

#include "call_session.hpp"

namespace phone {
namespace {

class CallCommand {
 public:
  explicit CallCommand(const Options& options)
      : options_(options), report_(options.json, options.quiet) {}

  int run();

 private:
  std::optional<int> connect();
  std::optional<int> place();
  void handle(Event& event);
  Clock::time_point deadline() const;
  int finish();

  const Options& options_;
  Report report_;
  EventQueue queue_;
  std::unique_ptr<isthmus::Client> client_;
  std::optional<CallSession> session_;
  isthmus::SessionInfo info_;
  Clock::time_point give_up_at_{};
  bool answered_ = false;
};

/// @return an exit status, or nothing when connected
std::optional<int> CallCommand::connect() {
  isthmus::ClientOptions client = options_.client;
  client.gateway.reconnect =
      false;  // a call does not outlive its session, and whoever runs us sees why
  auto made = isthmus::Client::create(std::move(client), queue_.handlers(false));
  if (!made) {
    report_.error(made.error().text);
    return exit_code_of(made.error());
  }
  client_ = std::move(*made);
  client_->connect();
  while (auto event = queue_.next(Clock::time_point::max())) {
    if (std::holds_alternative<Interrupted>(*event)) return kFailed;
    const auto* change = std::get_if<Connection>(&*event);
    if (change == nullptr) continue;
    info_ = client_->session();
    report_.connection(change->event, info_);
    if (change->event.state == isthmus::ConnectionState::connected) return std::nullopt;
    if (change->event.state != isthmus::ConnectionState::disconnected) continue;
    report_.error(change->event.error.text);
    return exit_code_of(change->event.error);
  }
  return kNoConnection;
}

std::optional<int> CallCommand::place() {
  auto call = with_audio(options_, report_, audio_of_call(options_, 1),
                         [this](const isthmus::AudioOptions& audio) {
                           return client_->call(options_.target, {audio, options_.late_offer});
                         });
  if (!call) {
    report_.error(call.error().text);
    return exit_code_of(call.error());
  }
  session_.emplace(options_, report_, *call, options_.target);
  give_up_at_ = Clock::now() + to_duration(options_.answer_timeout_s);
  return std::nullopt;
}

Clock::time_point CallCommand::deadline() const {
  return answered_ ? session_->next_deadline() : std::min(give_up_at_, session_->next_deadline());
}

void CallCommand::handle(Event& event) {
  const auto now = Clock::now();
  if (auto* change = std::get_if<CallChange>(&event)) {
    answered_ = answered_ || change->event.state == isthmus::CallState::connected ||
                change->event.state == isthmus::CallState::held;
    session_->on_change(change->event, now);
  } else if (auto* all = std::get_if<Statistics>(&event)) {
    if (const auto now_is = client_->session(); !now_is.gateway.empty()) info_ = now_is;
    session_->on_statistics(all->statistics, info_, now);
  } else if (auto* digit = std::get_if<Digit>(&event)) {
    session_->on_digit(digit->digit);
  } else if (std::holds_alternative<Interrupted>(event)) {
    session_->hang_up("interrupted", answered_ ? kCompleted : kFailed);
  } else if (auto* connection = std::get_if<Connection>(&event)) {
    const isthmus::ConnectionEvent& link = connection->event;
    if (link.state == isthmus::ConnectionState::connected) info_ = client_->session();
    report_.connection(link, info_);
    const bool lost = link.state == isthmus::ConnectionState::disconnected;
    if (lost && link.error.kind != isthmus::ErrorKind::none) report_.error(link.error.text);
  }
}

int CallCommand::finish() {
  Summary summary = session_->summary();
  summary.session = info_;
  report_.summary(summary);
  return summary.exit_code;
}

int CallCommand::run() {
  if (const auto code = connect()) return *code;
  if (const auto code = place()) return *code;
  while (!session_->ended()) {
    if (auto event = queue_.next(deadline())) {
      handle(*event);
      continue;
    }
    const auto now = Clock::now();
    if (!answered_ && now >= give_up_at_) {
      give_up_at_ = Clock::time_point::max();
      session_->hang_up("not answered in time", kTimeout);
    }
    session_->on_time(now);
  }
  return finish();
}

}  // namespace

int run_call(const Options& options) {
  return CallCommand(options).run();
}

}  // namespace phone
