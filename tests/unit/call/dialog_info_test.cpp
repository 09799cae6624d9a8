#include "call/dialog_info.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::call {
namespace {

std::optional<DialogWords> shout(const DialogWords& words) {
  return DialogWords{"ID<" + words.call_id + ">", words.local_tag + "&l", words.remote_tag + "\"r"};
}
std::optional<std::string> gateway(std::string_view) {
  return "sip:token@192.0.2.1?a=1&b=2";
}
std::optional<DialogWords> keep(const DialogWords&) {
  return std::nullopt;
}
std::optional<std::string> keep_uri(std::string_view) {
  return std::nullopt;
}

constexpr std::string_view kDocument =
    "<?xml version=\"1.0\"?>\r\n"
    "<!-- <dialog call-id=\"comment\"/> -->\n"
    "<d:dialog-info xmlns:d='urn:ietf:params:xml:ns:dialog-info' version=\"3\" state='full'\n"
    "   entity=\"sip:carol@example.org\">\n"
    "  <d:dialog id=\"x\"  call-id = 'a&amp;1' direction=\"recipient\" remote-tag=\"rt\" "
    "local-tag=\"lt\">\n"
    "    <d:state event=\"cancelled\">terminated</d:state>\n"
    "    <d:local><d:target uri=\"sip:carol@198.51.100.1;a=&#38;\"/></d:local>\n"
    "    <d:note><![CDATA[ <target uri=\"sip:kept@kept\"> ]]></d:note>\n"
    "  </d:dialog>\n"
    "</d:dialog-info>\n";

TEST(DialogInfo, identifiers_and_targets_are_rewritten_and_every_other_byte_stays) {
  auto rewritten = rewrite_dialog_info(kDocument, shout, gateway);
  ASSERT_TRUE(rewritten);
  std::string expected(kDocument);
  auto put = [&](std::string_view from, std::string_view to) {
    std::size_t at = expected.find(from);
    ASSERT_NE(at, std::string::npos);
    expected.replace(at, from.size(), to);
  };
  put("'a&amp;1'", "'ID&lt;a&amp;1&gt;'");
  put("\"rt\"", "\"rt&quot;r\"");
  put("\"lt\"", "\"lt&amp;l\"");
  put("sip:carol@198.51.100.1;a=&#38;", "sip:token@192.0.2.1?a=1&amp;b=2");
  EXPECT_EQ(*rewritten, expected);
}

TEST(DialogInfo, what_is_not_mapped_stays_byte_for_byte) {
  EXPECT_EQ(rewrite_dialog_info(kDocument, keep, keep_uri), std::string(kDocument));
  EXPECT_EQ(rewrite_dialog_info("", keep, keep_uri), "");
  EXPECT_EQ(rewrite_dialog_info("no markup at all", shout, gateway), "no markup at all");
}

TEST(DialogInfo, an_attribute_that_is_absent_is_not_invented) {
  auto rewritten =
      rewrite_dialog_info("<dialog id='1' call-id='c' local-tag='l'/>", shout, keep_uri);
  EXPECT_EQ(rewritten, "<dialog id='1' call-id='ID&lt;c&gt;' local-tag='l&amp;l'/>");
}

TEST(DialogInfo, documents_at_fault_are_not_touched) {
  for (std::string_view document :
       {"<dialog call-id=\"a", "<dialog call-id=a/>", "<dialog call-id>", "<dialog call-id='x' =>",
        "<!DOCTYPE d [<!ENTITY x 'y'>]><dialog call-id='a'/>", "<!-- <dialog call-id='a'/>",
        "<dialog", "<", "</dialog", "<?xml", "<dialog call-id='a'", "<dialog <target uri='x'/>"}) {
    EXPECT_FALSE(rewrite_dialog_info(document, shout, gateway)) << document;
  }
  // A value that cannot be read stays, the rest is mapped.
  EXPECT_EQ(rewrite_dialog_info("<dialog call-id='&unknown;'/><target uri='x'/>", shout, gateway),
            "<dialog call-id='&unknown;'/><target uri='sip:token@192.0.2.1?a=1&amp;b=2'/>");
}

TEST(DialogInfo, elements_and_attributes_are_bounded) {
  std::string many;
  for (std::size_t i = 0; i < limits::kDialogInfoElements; ++i) many += "<dialog call-id='a'/>";
  EXPECT_TRUE(rewrite_dialog_info(many, keep, keep_uri));
  EXPECT_FALSE(rewrite_dialog_info(many + "<dialog call-id='a'/>", keep, keep_uri));
  std::string wide = "<dialog";
  for (std::size_t i = 0; i <= limits::kDialogInfoAttributes; ++i) wide += " a='1'";
  EXPECT_FALSE(rewrite_dialog_info(wide + "/>", keep, keep_uri));
}

}  // namespace
}  // namespace isthmus::call
