#include "wire/link.hpp"

namespace isthmus::wire {

const char* to_text(CloseCode code) {
  switch (code) {
    case CloseCode::normal:
      return "normal";
    case CloseCode::protocol_error:
      return "protocol_error";
    case CloseCode::unauthorized:
      return "unauthorized";
    case CloseCode::credentials_expired:
      return "credentials_expired";
    case CloseCode::limit_exceeded:
      return "limit_exceeded";
    case CloseCode::timeout:
      return "timeout";
    case CloseCode::going_away:
      return "going_away";
    case CloseCode::replaced:
      return "replaced";
    case CloseCode::internal_error:
      return "internal_error";
    case CloseCode::version_mismatch:
      return "version_mismatch";
    case CloseCode::too_slow:
      return "too_slow";
    case CloseCode::forbidden:
      return "forbidden";
    case CloseCode::resume_refused:
      return "resume_refused";
  }
  return "unknown";
}

bool ends_session(CloseCode code) {
  switch (code) {
    case CloseCode::timeout:
    case CloseCode::going_away:
    case CloseCode::replaced:
    case CloseCode::internal_error:
    case CloseCode::too_slow:
      return false;
    default:
      return true;
  }
}

}  // namespace isthmus::wire
