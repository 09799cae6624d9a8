#include "sip/fault.hpp"

namespace isthmus::sip {
namespace {

std::string about(std::string_view what, HeaderId header, std::string_view otherwise) {
  const std::string_view name = header == HeaderId::other ? otherwise : to_text(header);
  return std::string(what).append(" ").append(name);
}

}  // namespace

int Fault::status() const {
  switch (code) {
    case FaultCode::bad_version:
      return 505;
    case FaultCode::too_large:
    case FaultCode::too_many_headers:
    case FaultCode::header_too_long:
      return 513;
    default:
      return 400;
  }
}

std::string Fault::reason() const {
  switch (code) {
    case FaultCode::empty:
      return "Empty Message";
    case FaultCode::too_large:
      return std::string(reason_phrase(513));
    case FaultCode::too_many_headers:
      return "Too Many Header Fields";
    case FaultCode::header_too_long:
      return about("Too Long", header, "Header Field");
    case FaultCode::bad_start_line:
      return "Malformed Start Line";
    case FaultCode::bad_version:
      return std::string(reason_phrase(505));
    case FaultCode::bad_header_line:
      return "Malformed Header Line";
    case FaultCode::no_end_of_headers:
      return "Missing End Of Headers";
    case FaultCode::missing_header:
      return about("Missing", header, "Header Field");
    case FaultCode::duplicate_header:
      return about("Duplicate", header, "Header Field");
    case FaultCode::bad_header_value:
      return about("Malformed", header, "Header Value");
    case FaultCode::bad_content_length:
      return "Wrong Content-Length";
    case FaultCode::cseq_method_mismatch:
      return "CSeq Method Mismatch";
    case FaultCode::bad_request_uri:
      return "Malformed Request-URI";
  }
  return "Bad Request";
}

}  // namespace isthmus::sip
