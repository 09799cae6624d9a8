#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

#if defined(__GNUC__)
#define ISTHMUS_API __attribute__((visibility("default")))
#else
#define ISTHMUS_API
#endif

namespace isthmus {

enum class ErrorKind {
  none,
  bad_argument,    ///< a value of the caller's: URL, pin, address, digit
  audio,           ///< a sound file, device or codec
  not_connected,   ///< no session with the gateway now
  wrong_state,     ///< not possible for this call now
  unknown_call,    ///< the call has ended
  limit,           ///< too many calls, or a message too long
  unreachable,     ///< the gateway does not answer, or its name has no address
  timeout,         ///< it did not answer in time
  untrusted,       ///< its certificate is not trusted, or it does not let this user in
  authentication,  ///< wrong or expired credentials
  protocol,        ///< what answers is no gateway of this version
  refused,         ///< ended by the gateway: overload, a newer session, maintenance
};

/// What went wrong, for a program (`kind`) and for a person (`text`, which names what is at fault
/// and, where that is known, what to do).
struct Error {
  ErrorKind kind = ErrorKind::none;
  std::string text;
};
ISTHMUS_API const char* to_text(ErrorKind kind);  ///< "authentication"

/// A value or an Error. Test before dereferencing: `if (!r) use(r.error()); else use(*r);`
template <typename T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Outcome(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() { return *std::get_if<0>(&state_); }
  const T& operator*() const { return *std::get_if<0>(&state_); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Outcome<void> {
 public:
  Outcome() = default;
  Outcome(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace isthmus
