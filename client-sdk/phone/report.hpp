#pragma once
#include <string>
#include <string_view>

#include <isthmus/client.hpp>

namespace phone {

/// One JSON object, written member by member.
class Json {
 public:
  Json& add(std::string_view name, std::string_view value);
  Json& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  Json& add(std::string_view name, double value);  ///< three decimals; not finite: null
  Json& add(std::string_view name, std::uint64_t value);
  Json& add(std::string_view name, int value);
  Json& add(std::string_view name, bool value);
  std::string text() const { return '{' + members_ + '}'; }

 private:
  Json& raw(std::string_view name, const std::string& value);
  std::string members_;
};

/// What a run ends with.
struct Summary {
  std::string peer, end_reason;
  isthmus::SessionInfo session;
  int sip_status = 0, exit_code = 0;
  bool answered = false;
  std::uint64_t dtmf_received = 0;
  isthmus::CallStatistics statistics;
};

/// Says what happens: plain lines with a live status line below them on a terminal, or JSON.
class Report {
 public:
  Report(bool json, bool quiet);
  ~Report();

  void connection(const isthmus::ConnectionEvent& event, const isthmus::SessionInfo& session);
  void registration(const isthmus::RegistrationEvent& event);
  void incoming(const isthmus::IncomingCallInfo& info);
  void call(const isthmus::CallEvent& event);
  void digit(char digit);
  void statistics(std::string_view state, const isthmus::CallStatistics& all,
                  const isthmus::SessionInfo& session);
  void note(std::string_view text);
  void error(std::string_view text);  ///< on stderr, also when quiet
  void summary(const Summary& summary);

 private:
  void line(const std::string& plain, const Json& json);
  void clear_status();

  bool json_, quiet_, live_;
  bool status_shown_ = false;
};

}  // namespace phone
