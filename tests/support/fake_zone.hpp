#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "provider/dns_records.hpp"

namespace isthmus::test {

/// A DNS made of a few records, for pure code that asks and is answered.
struct FakeZone {
  seconds ttl{60};  ///< of the records that are added from now on
  bool fails = false;
  std::set<provider::DnsQuestion> failing;
  std::map<provider::DnsQuestion, provider::DnsAnswer> records;

  FakeZone& a(const std::string& name, const std::string& address) {
    entry(provider::DnsType::a, name).addresses.push_back(*IpAddress::parse(address));
    return *this;
  }
  FakeZone& aaaa(const std::string& name, const std::string& address) {
    entry(provider::DnsType::aaaa, name).addresses.push_back(*IpAddress::parse(address));
    return *this;
  }
  FakeZone& srv(const std::string& name, std::uint16_t priority, std::uint16_t weight,
                std::uint16_t port, const std::string& target) {
    entry(provider::DnsType::srv, name).srv.push_back({priority, weight, port, target});
    return *this;
  }
  FakeZone& naptr(const std::string& name, std::uint16_t order, std::uint16_t preference,
                  const std::string& services, const std::string& replacement) {
    entry(provider::DnsType::naptr, name)
        .naptr.push_back({order, preference, "s", services, "", replacement});
    return *this;
  }
  void clear() { records.clear(); }

  provider::DnsAnswer answer(const provider::DnsQuestion& question) const {
    if (fails || failing.contains(question)) return {provider::DnsStatus::failed};
    auto found = records.find(question);
    if (found != records.end()) return found->second;
    return {provider::DnsStatus::none, seconds(30)};
  }

  /// Answers these questions and all that follow from them.
  template <class Asker>
  void answer_all(Asker& asker, std::vector<provider::DnsQuestion> questions, Instant now,
                  std::vector<provider::DnsQuestion>* asked = nullptr) const {
    for (std::size_t i = 0; i < questions.size(); ++i) {
      provider::DnsQuestion question = questions[i];
      if (asked) asked->push_back(question);
      asker.on_answer(question, answer(question), now, questions);
    }
  }

 private:
  provider::DnsAnswer& entry(provider::DnsType type, const std::string& name) {
    provider::DnsAnswer& found = records[{type, name}];
    found.status = provider::DnsStatus::found;
    if (found.ttl == seconds(0) || ttl < found.ttl) found.ttl = ttl;
    return found;
  }
};

}  // namespace isthmus::test
