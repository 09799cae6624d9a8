#include "sip/values.hpp"

#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {

Result<Via, Fault> Via::parse(std::string_view text) {
  const auto found = scan::via(text);
  if (!found) return Fault{FaultCode::bad_header_value, HeaderId::via};
  Via out;
  out.transport = found->transport;
  out.host = found->host;
  out.port = found->port;
  out.params = Params::parse(found->params).value_or(Params{});
  return out;
}

std::string Via::to_string() const {
  std::string out = "SIP/2.0/";
  out.append(transport).append(" ").append(host);
  if (port != 0) out.append(":").append(std::to_string(port));
  return out.append(params.to_string());
}

std::string Via::branch() const {
  return std::string(params.get("branch").value_or(""));
}

std::uint16_t Via::sent_by_port() const {
  if (port != 0) return port;
  return iequals(transport, "TLS") || iequals(transport, "TLS-SCTP") ? 5061 : 5060;
}

Result<CSeq, Fault> CSeq::parse(std::string_view text) {
  const auto found = scan::cseq(text);
  if (!found) return Fault{FaultCode::bad_header_value, HeaderId::cseq};
  return CSeq{found->number, method_from(found->method), std::string(found->method)};
}

std::string CSeq::to_string() const {
  return std::to_string(number) + " " + method_text;
}

Result<RAck, Fault> RAck::parse(std::string_view text) {
  const Fault fault{FaultCode::bad_header_value, HeaderId::rack};
  text = trim(text);
  std::size_t digits = 0;
  while (digits < text.size() && !scan::is_lws(text[digits])) ++digits;
  const auto rseq = parse_number<std::uint32_t>(text.substr(0, digits));
  if (!rseq || *rseq > 0x7fffffffU) return fault;
  const auto cseq = scan::cseq(text.substr(digits));  // the rest has the form of a CSeq
  if (!cseq) return fault;
  return RAck{*rseq, cseq->number, std::string(cseq->method)};
}

std::string RAck::to_string() const {
  return std::to_string(rseq) + " " + std::to_string(cseq) + " " + method_text;
}

}  // namespace isthmus::sip
