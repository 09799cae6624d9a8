#include "call/answer_repeater.hpp"

#include <algorithm>

namespace isthmus::call {

void AnswerRepeater::begin(sip::TransactionId server, const sip::Flow& to,
                           const sip::Message& response, const sip::Flow* from) {
  const sip::TransactionTimers& timers = core_.config.timers;
  Waiting waiting;
  waiting.give_up_at = core_.now + timers.timeout();
  Instant first = waiting.give_up_at;
  if (!to.is_link()) {
    waiting.response = response;
    if (from) waiting.from = *from;
    waiting.interval = timers.t1;
    first = core_.now + waiting.interval;
  }
  waiting_.insert_or_assign(server, std::move(waiting));
  deadlines_.set(server, first);
}

void AnswerRepeater::end(sip::TransactionId server) {
  if (waiting_.erase(server) > 0) deadlines_.clear(server);
}

void AnswerRepeater::on_timeout() {
  while (std::optional<sip::TransactionId> server = deadlines_.take_due(core_.now)) {
    auto found = waiting_.find(*server);
    if (found == waiting_.end()) continue;
    Waiting& waiting = found->second;
    if (waiting.give_up_at <= core_.now) {
      waiting_.erase(found);
      unacknowledged_(*server);
      continue;
    }
    core_.respond(*server, *waiting.response, waiting.from ? &*waiting.from : nullptr);
    waiting.interval = std::min<Duration>(2 * waiting.interval, core_.config.timers.t2);
    deadlines_.set(*server, std::min(core_.now + waiting.interval, waiting.give_up_at));
  }
}

}  // namespace isthmus::call
