#pragma once
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "base/result.hpp"
#include "transport/tls_peer.hpp"

struct ssl_st;
struct x509_store_ctx_st;
namespace boost::asio::ssl {
class context;
}

namespace isthmus::transport {

/// Files of a TLS listener.
struct TlsServer {
  std::string certificate, private_key;  ///< PEM
  std::string client_ca;                 ///< PEM; empty: clients are not asked for a certificate
  bool require_client_certificate = false;
};

struct TlsFault {
  std::string text;  ///< names the file and what is wrong with it
};

/// TLS contexts (1.2 and later) of what SIP sockets accept and open. Those toward peers are made
/// once for each set of files.
class TlsContexts {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;

  static Result<Context, TlsFault> server(const TlsServer& files);
  Result<Context, TlsFault> client(const TlsPeer& peer);
  /// Files are read again from now on.
  void forget() { clients_.clear(); }

  /// Prepares one connection to a peer: the name to send (SNI, RFC 6066 §3; not for addresses).
  static void set_name(ssl_st* connection, const TlsPeer& peer);
  /// For the stream's verify callback. @param verdict gets the reason when the answer is no
  static bool judge(bool preverified, x509_store_ctx_st* store, const TlsPeer& peer,
                    std::string& verdict);

 private:
  std::map<std::tuple<std::string, std::string, std::string>, Context> clients_;
};

}  // namespace isthmus::transport
