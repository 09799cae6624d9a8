// URIs, addresses, parameters, lists, Via, CSeq and RAck: what parses must be written so that it
// reads back equal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sip/uri.hpp"
#include "sip/values.hpp"

using namespace isthmus::sip;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <typename T>
void written_form_reads_back(std::string_view text) {
  const auto parsed = T::parse(text);
  if (!parsed) return;
  const auto again = T::parse(parsed->to_string());
  require(static_cast<bool>(again));
  require(again->to_string() == parsed->to_string());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  written_form_reads_back<Uri>(text);
  written_form_reads_back<NameAddr>(text);
  written_form_reads_back<Params>(text);
  written_form_reads_back<Via>(text);
  written_form_reads_back<CSeq>(text);
  written_form_reads_back<RAck>(text);

  if (const auto uri = Uri::parse(text)) {
    require(equivalent(*uri, *uri));
    require(uri->decoded_user() == percent_decode(uri->user));
    require(uri->is_sip() ? !uri->host.empty() : !uri->opaque.empty());
  }
  require(percent_decode(text).size() <= text.size());

  std::size_t behind = 0;  // list values stand in order, inside the text, and are not empty
  for (const std::string_view part : split_list(text)) {
    require(!part.empty());
    const auto at = static_cast<std::size_t>(part.data() - text.data());
    require(at >= behind && at + part.size() <= text.size());
    behind = at + part.size();
  }

  // Two URIs in one input: equality holds both ways or neither.
  const std::size_t space = text.find(' ');
  if (space != std::string_view::npos) {
    const auto a = Uri::parse(text.substr(0, space));
    const auto b = Uri::parse(text.substr(space + 1));
    if (a && b) require(equivalent(*a, *b) == equivalent(*b, *a));
  }
  return 0;
}
