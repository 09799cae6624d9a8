#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dns/records.hpp"

namespace isthmus::test {

/// A DNS made of a few records, for pure code that asks and is answered.
struct FakeZone {
  seconds ttl{60};  ///< of the records that are added from now on
  bool fails = false;
  std::set<dns::Question> failing;
  std::map<dns::Question, dns::Answer> records;

  FakeZone& a(const std::string& name, const std::string& address) {
    entry(dns::Type::a, name).addresses.push_back(*IpAddress::parse(address));
    return *this;
  }
  FakeZone& aaaa(const std::string& name, const std::string& address) {
    entry(dns::Type::aaaa, name).addresses.push_back(*IpAddress::parse(address));
    return *this;
  }
  FakeZone& srv(const std::string& name, std::uint16_t priority, std::uint16_t weight,
                std::uint16_t port, const std::string& target) {
    entry(dns::Type::srv, name).srv.push_back({priority, weight, port, target});
    return *this;
  }
  FakeZone& naptr(const std::string& name, std::uint16_t order, std::uint16_t preference,
                  const std::string& services, const std::string& replacement) {
    entry(dns::Type::naptr, name)
        .naptr.push_back({order, preference, "s", services, "", replacement});
    return *this;
  }
  void clear() { records.clear(); }

  dns::Answer answer(const dns::Question& question) const {
    if (fails || failing.contains(question)) return {dns::Status::failed};
    auto found = records.find(question);
    if (found != records.end()) return found->second;
    return {dns::Status::none, seconds(30)};
  }

  /// Answers these questions and all that follow from them.
  template <class Asker>
  void answer_all(Asker& asker, std::vector<dns::Question> questions, Instant now,
                  std::vector<dns::Question>* asked = nullptr) const {
    for (std::size_t i = 0; i < questions.size(); ++i) {
      dns::Question question = questions[i];
      if (asked) asked->push_back(question);
      asker.on_answer(question, answer(question), now, questions);
    }
  }

 private:
  dns::Answer& entry(dns::Type type, const std::string& name) {
    dns::Answer& found = records[{type, name}];
    found.status = dns::Status::found;
    if (found.ttl == seconds(0) || ttl < found.ttl) found.ttl = ttl;
    return found;
  }
};

}  // namespace isthmus::test
