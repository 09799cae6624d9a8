// Who redirected a call, as Diversion (RFC 5806) and as History-Info (RFC 7044): RFC 7544.
#include "provider/redirection_headers.hpp"

#include <gtest/gtest.h>

#include "provider/header_policy.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;
using Values = std::vector<std::string>;

struct RedirectionHeaders : testing::Test {
  Message invite = Message::request("INVITE", "sip:carol@example.net");
  RedirectionHeaders() {
    invite.add(HeaderId::from, "<sip:alice@example.net>;tag=1");
    invite.add(HeaderId::to, "<sip:bob@example.net>");
  }
  Values put(RedirectionForm form, HeaderId header) {
    put_redirections(invite, form);
    Values out;
    for (std::string_view value : invite.values(header)) out.emplace_back(value);
    return out;
  }
  Values diversion(RedirectionForm form = RedirectionForm::diversion) {
    return put(form, HeaderId::diversion);
  }
  Values history(RedirectionForm form = RedirectionForm::history_info) {
    return put(form, HeaderId::history_info);
  }
};

TEST_F(RedirectionHeaders, one_redirection_becomes_history_of_two_places) {
  invite.add(HeaderId::diversion,
             "\"Bob\" <sip:bob@example.net>;reason=no-answer;counter=1;privacy=off");
  EXPECT_EQ(history(), (Values{"\"Bob\" <sip:bob@example.net>;index=1",
                               "<sip:carol@example.net;cause=408>;index=1.1;mp=1"}));
  EXPECT_FALSE(invite.has(HeaderId::diversion));
}

TEST_F(RedirectionHeaders, the_newest_diversion_stands_first_and_the_newest_history_last) {
  invite.add(HeaderId::diversion, "<sip:bill@example.net>;reason=user-busy");
  invite.add(HeaderId::diversion, "<tel:+4930123;cause=404>;reason=\"unconditional\";privacy=full");
  EXPECT_EQ(history(), (Values{"<sip:+4930123@example.net;user=phone?Privacy=history>;index=1",
                               "<sip:bill@example.net;cause=302>;index=1.1;mp=1",
                               "<sip:carol@example.net;cause=486>;index=1.1.1;mp=1.1"}));
}

TEST_F(RedirectionHeaders, quoted_words_are_read_without_their_escapes) {
  invite.add(HeaderId::diversion, R"(<sip:bob@example.net>;reason="user\-busy";privacy="o\ff")");
  EXPECT_EQ(history(), (Values{"<sip:bob@example.net>;index=1",
                               "<sip:carol@example.net;cause=486>;index=1.1;mp=1"}));
}

TEST_F(RedirectionHeaders, history_becomes_diversion_by_its_causes) {
  invite.add(HeaderId::history_info, "<sip:bob@example.net?Privacy=history>;index=1");
  invite.add(HeaderId::history_info,
             "<sip:bob@192.0.2.7>;index=1.1;rc=1, <sip:bill@example.net;cause=302>;index=1.2;mp=1");
  invite.add(HeaderId::history_info, "<sip:carol@example.net;cause=486>;index=1.2.1;mp=1.2");
  EXPECT_EQ(diversion(),
            (Values{"<sip:bill@example.net>;reason=user-busy;counter=1",
                    "<sip:bob@example.net>;reason=unconditional;counter=1;privacy=full"}));
  EXPECT_FALSE(invite.has(HeaderId::history_info));
}

TEST_F(RedirectionHeaders, redirections_of_which_the_address_is_not_known_are_counted) {
  invite.add(HeaderId::diversion, "<sip:bob@example.net>;reason=deflection;counter=3");
  EXPECT_EQ(history().size(), 4u);
  invite.remove(HeaderId::diversion);
  EXPECT_EQ(diversion(), Values{"<sip:bob@example.net>;reason=deflection;counter=3"});
}

TEST_F(RedirectionHeaders, both_adds_the_one_that_is_missing) {
  const std::string bob = "<sip:bob@example.net>;reason=away";
  invite.add(HeaderId::diversion, bob);
  EXPECT_EQ(history(RedirectionForm::both).size(), 2u);
  EXPECT_EQ(diversion(RedirectionForm::both), Values{bob});  // as it came
}

TEST_F(RedirectionHeaders, history_that_tells_of_no_redirection_gives_way_to_one_that_does) {
  invite.add(HeaderId::history_info,
             "<sip:bob@example.net>;index=1, <sip:bob@192.0.2.7>;index=1.1");
  invite.add(HeaderId::diversion, "<sip:bob@example.net>;reason=unknown");
  EXPECT_EQ(history()[1], "<sip:carol@example.net;cause=404>;index=1.1;mp=1");
}

TEST_F(RedirectionHeaders, nothing_is_made_of_nothing_nor_of_what_cannot_be_read) {
  EXPECT_EQ(history(), Values{});
  invite.add(HeaderId::diversion, "<sip:bob@");
  EXPECT_EQ(history(), Values{});
  EXPECT_FALSE(invite.has(HeaderId::diversion));
  invite.add(HeaderId::history_info, "<<>, ;index=1");
  EXPECT_EQ(diversion(), Values{});
}

TEST_F(RedirectionHeaders, however_many_there_are_the_message_stays_one) {
  for (int i = 0; i < 100; ++i)
    invite.add(HeaderId::diversion, "<sip:bob@example.net>;reason=away;counter=4000000000");
  EXPECT_LE(history().size(), 40u);
  EXPECT_TRUE(Message::parse(invite.serialize()));
}

TEST_F(RedirectionHeaders, inside_a_dialog_and_with_pass_all_stays) {
  const std::string bob = "<sip:bob@example.net>;reason=away";
  invite.add(HeaderId::diversion, bob);
  EXPECT_EQ(diversion(RedirectionForm::pass), Values{bob});
  invite.set(HeaderId::to, "<sip:bob@example.net>;tag=2");
  EXPECT_EQ(diversion(RedirectionForm::history_info), Values{bob});
}

TEST_F(RedirectionHeaders, are_put_by_the_policy_of_the_provider_that_is_called) {
  HeaderPolicy policy;
  policy.redirections = RedirectionForm::history_info;
  const HeaderParty client, provider{&policy};
  Message to_client = invite;
  to_client.add(HeaderId::diversion, "<sip:bob@example.net>;reason=away");
  Message to_provider = to_client;
  apply_header_policy(to_client, &provider, client);
  EXPECT_TRUE(to_client.has(HeaderId::diversion));
  apply_header_policy(to_provider, &client, provider);
  EXPECT_TRUE(to_provider.has(HeaderId::history_info));
  EXPECT_FALSE(to_provider.has(HeaderId::diversion));
}

}  // namespace
}  // namespace isthmus::provider
