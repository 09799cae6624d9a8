#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "call/media_session.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// What one leg calls a dialog.
struct DialogNames {
  std::string call_id;
  std::array<std::string, 2> tag;  ///< the caller's, the callee's

  bool operator==(const DialogNames&) const = default;
};

/// CSeq numbers of the requests that go to one leg of a dialog. They are those of the other leg
/// until the gateway sends a request of its own there: credentials after a challenge, a session
/// refresh, a BYE. From then on they run ahead by an offset (RFC 3261 §12.2.1.1: they must grow).
class CSeqNumbers {
 public:
  /// The number of a request that came from the other leg, counted as sent.
  std::uint32_t carry(std::uint32_t number, sip::Method method);
  /// A number for a request of our own.
  std::uint32_t next_own();
  /// A number for a request that came from the other leg with `number`, sent once more.
  std::uint32_t carry_again(std::uint32_t number, sip::Method method);

  /// Under which number a request went that came with `number`. ACK, RAck and an Event's id name a
  /// request that may lie before the last change of the offset.
  std::uint32_t sent_as(std::uint32_t number) const;
  /// The reverse.
  std::uint32_t came_as(std::uint32_t sent) const;
  std::uint32_t offset() const { return offset_; }

 private:
  struct Pair {
    std::uint32_t came = 0, sent = 0;
  };
  void keep(std::uint32_t came, std::uint32_t sent, sip::Method method);

  std::uint32_t offset_ = 0;
  std::uint32_t last_sent_ = 0;
  Pair invite_;              ///< the last one: ACK and RAck name it
  std::vector<Pair> named_;  ///< REFERs, oldest first: `Event: refer;id=` names them
};

/// How both legs of a dialog know it, and the rewriting of what crosses between them: Call-ID, From
/// and To tags, CSeq, RAck (RFC 3262 §7.2) and the id of `Event: refer` (RFC 3515 §2.4.6). Changes
/// nothing while both legs know the dialog alike.
struct DialogIdentity {
  std::array<DialogNames, 2> names;      ///< by leg
  std::array<bool, 2> hides{};           ///< LegPolicy::topology_hiding of each leg
  std::array<CSeqNumbers, 2> numbers{};  ///< of the requests toward that leg
  /// Authorization fields of the last INVITE toward that leg, which its ACK repeats (RFC 3261
  /// §13.2.2.4).
  std::array<std::vector<std::pair<sip::HeaderId, std::string>>, 2> credentials{};

  /// A request of that side, as it came, on its way to the other leg.
  void carry_request(sip::Message& request, Side from);
  /// A response on its way back, to a request as that side had sent it. @param to_tag for the To of
  /// a response to a request without one; empty: as it came.
  void carry_response(sip::Message& response, const sip::Message& request,
                      std::string_view to_tag = {}) const;
  /// The ACK of a 2xx, which repeats the CSeq number and the credentials of its INVITE.
  void carry_ack(sip::Message& ack, Side from) const;
  /// Takes note of the credentials that an INVITE bears.
  void keep_credentials(const sip::Message& invite, Side to);
  /// Puts `party`, a From or To value of that side, into the words of a leg.
  std::string party_on(Side leg, Side party, std::string_view value) const;

  bool same_names() const { return names[0] == names[1]; }

 private:
  void rename(sip::Message& request, Side from) const;
};

/// Replaces the tag of a From or To; adds it when there is none. An empty tag changes nothing.
void set_tag(sip::Message& message, sip::HeaderId header, std::string_view tag);
void set_cseq(sip::Message& message, std::uint32_t number);

}  // namespace isthmus::call
