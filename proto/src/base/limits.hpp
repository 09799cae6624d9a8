#pragma once
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

/// Every bound of the product, in one place, each with its unit and its reason. A bound that a
/// remote party can reach has a counted drop reason or a Close code beside it.
namespace isthmus::limits {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = kKiB * kKiB;

// Link (wire protocol)
/// largest SIP message that UDP could carry
inline constexpr std::size_t kReliableFrameBytes = 64 * kKiB;
inline constexpr std::size_t kMediaFrameBytes = 2 * kKiB;  ///< above any path MTU in use for RTP
inline constexpr std::size_t kHelloBytes = 8 * kKiB;       ///< a JWT with room to spare
/// before Welcome, all frames
inline constexpr std::size_t kUnauthenticatedBytes = 4 * kKiB + kHelloBytes;
inline constexpr Duration kUnauthenticatedLife = seconds(5);  ///< a Hello needs one round trip
inline constexpr std::uint32_t kFirstMediaChannel = 16;       ///< 0 control, 1 SIP, 2-15 reserved
/// a channel is an SDP port (RFC 8866 §5.14)
inline constexpr std::uint32_t kLastMediaChannel = 65535;
/// 256 calls with RTP and RTCP each way
inline constexpr std::uint32_t kChannelsPerSession = 1024;
inline constexpr std::size_t kReliableQueueFrames = 4096;  ///< a slow reader's backlog before Close
inline constexpr std::size_t kReliableQueueBytes = 4 * kMiB;  ///< same, in bytes
/// about 60 ms of 300 calls at 50 packets/s
inline constexpr std::size_t kMediaQueueFrames = 1024;
/// older media is useless to a jitter buffer
inline constexpr Duration kMediaDeadline = milliseconds(60);
/// media between the threads of a shard and of the bridge, each way: 60 ms of some 40,000 packets/s
inline constexpr std::size_t kHandoverMediaBytes = 768 * kKiB;
/// one client's SIP that waits for the bridge's thread: more than a session may send again at once
inline constexpr std::size_t kHandoverReliableBytes = 6 * kMiB;
/// same, of all clients of a shard, each way
inline constexpr std::size_t kHandoverAllReliableBytes = 64 * kMiB;
/// then whatever else the thread has to do has its turn
inline constexpr std::size_t kHandoverEntriesPerTurn = 128;
inline constexpr unsigned kMostShards = 64;  ///< an id has room for 255
/// a frame may wait for others of its session: a tenth of a packet's 20 ms
inline constexpr Duration kBundleWait = milliseconds(2);
/// channels of a link with compact RTP, each way: all that a session may have
inline constexpr std::size_t kCompactChannels = kChannelsPerSession;
/// contexts that we use of a channel's 16: a codec, its talk spurts and one more, with rests
inline constexpr std::size_t kCompactSenderContexts = 4;
/// a channel quiet for this long is forgotten where others need its place
inline constexpr Duration kCompactIdle = seconds(60);
inline constexpr Duration kKeepAlive = seconds(15);  ///< below the 30 s of strict UDP NATs
/// a Welcome asking for less is not obeyed
inline constexpr Duration kMinKeepAlive = milliseconds(100);
/// nor for more: a dead link must be found
inline constexpr Duration kMaxKeepAlive = seconds(600);
inline constexpr std::size_t kReasonBytes = 200;  ///< Reject and Close text, cut beyond
inline constexpr int kMissedPings = 3;            ///< a link without answers this often is dead
/// a client that sends media and hears nothing for this long asks the link for a sign of life,
inline constexpr Duration kLinkQuiet = milliseconds(500);
/// and without an answer for this long looks for another: above most round trips of mobile networks
inline constexpr Duration kLinkProbeLife = milliseconds(500);
/// SIP frames that wait for an Ack, to be sent again on the next link: 60 s of 30 messages a second
inline constexpr std::size_t kReplayFrames = 2048;
inline constexpr std::size_t kReplayBytes = 4 * kMiB;        ///< same, in bytes
inline constexpr Duration kResumeWindow = seconds(60);       ///< life of a session without a link
inline constexpr Duration kMaxResumeWindow = seconds(3600);  ///< calls hang on it at the provider
/// other gateways that a GoAway may name, and the bytes of each URL: a cluster's neighbours
inline constexpr std::size_t kGoAwayGateways = 8;
inline constexpr std::size_t kGatewayUrlBytes = 512;
inline constexpr int kAckEveryFrames = 8;                 ///< SIP frames between Acks
inline constexpr Duration kAckDelay = milliseconds(200);  ///< or this long, whichever comes first

// Sockets of the TCP link
/// head of an HTTP proxy's answer to CONNECT; its page, if it has one, is not read
inline constexpr std::size_t kProxyAnswerBytes = 8 * kKiB;
/// media bundled in one message; fits Beast's write buffer
inline constexpr std::size_t kMediaMessageBytes = 4000;
/// TCP_NOTSENT_LOWAT: 65 ms at 500 kbit/s, so media waits here
inline constexpr int kTcpUnsentBytes = 4096;
/// a read buffer larger than this is given back
inline constexpr std::size_t kLinkBufferKeptBytes = 8 * kKiB;
/// flushing and the closing handshake, together
inline constexpr Duration kLinkCloseLife = seconds(2);
/// a client that leaves waits so long for answers to its last BYE and REGISTER, challenges among
/// them
inline constexpr Duration kGoodbyeLife = seconds(1);
/// a browser's upgrade with cookies takes half
inline constexpr std::size_t kHttpHeaderBytes = 8 * kKiB;
/// addresses of one gateway's name that are tried
inline constexpr std::size_t kResolvedAddresses = 16;
/// gateways of one domain that are tried in a round, however many SRV records it has
inline constexpr std::size_t kLocatedGateways = 16;

// SIP (RFC 3261)
inline constexpr std::size_t kSipMessageBytes = 64 * kKiB;  ///< one UDP datagram
inline constexpr std::size_t kSipHeaders = 256;             ///< real messages carry below 60
/// one header field, folded lines joined
inline constexpr std::size_t kSipHeaderBytes = 16 * kKiB;
/// a shard's, both kinds; 32 s at 6,000 a second
inline constexpr std::size_t kSipTransactions = 200'000;
inline constexpr std::size_t kDigestRealms = 16;  ///< a client's; a path of proxies has below 4
/// whose uses a server remembers: 3 MB; older ones are stale
inline constexpr std::size_t kDigestNonces = 50'000;
inline constexpr std::uint32_t kMaxForwards = 70;  ///< RFC 3261 §8.1.1.6

/// a larger request goes by TCP (RFC 3261 §18.1.1): 200 bytes below an Ethernet's MTU
inline constexpr std::uint32_t kSipDatagramSwitchBytes = 1300;
/// largest sent over UDP; IPv4 carries 65,507
inline constexpr std::size_t kSipDatagramBytes = 65'000;
/// a longer 4xx to a malformed request is not sent
inline constexpr std::size_t kFaultAnswerBytes = 8 * kKiB;
/// a listener's; enough to debug one peer
inline constexpr std::uint32_t kFaultAnswersPerSecond = 20;

// SIP over TCP and TLS
/// one read; a message of ordinary size comes in one
inline constexpr std::size_t kSipStreamReadBytes = 4 * kKiB;
/// waiting to be sent on one connection: a peer that reads nothing while a thousand messages come
inline constexpr std::size_t kSipStreamQueueBytes = kMiB;
/// a connection's messages that go out in one write
inline constexpr std::size_t kSipStreamGather = 16;
inline constexpr std::uint32_t kSipConnections = 10'000;         ///< of a listener's host, default
inline constexpr std::uint32_t kSipConnectionsPerSource = 1000;  ///< a PBX may open one a call
/// places that do not take large requests by TCP; above the hosts of all providers
inline constexpr std::size_t kRefusedTcp = 4096;
/// endpoints whose TLS identity is remembered; above the hosts of all providers
inline constexpr std::size_t kTlsPeers = 10'000;

// Locating by the DNS (RFC 3263)
/// questions whose answers are remembered; about 2 MB
inline constexpr std::size_t kDnsQuestions = 4096;
inline constexpr std::size_t kDnsWaiters = 1024;  ///< callers waiting for one answer
inline constexpr std::size_t kDnsInFlight = 256;  ///< questions at once; more fail at once
inline constexpr std::size_t kDnsRecords = 64;    ///< of one answer; real ones have below 16
/// a record with a shorter life would be asked for with every call
inline constexpr seconds kDnsLeastLife{5};
inline constexpr seconds kDnsMostLife{86400};  ///< who moves a host does not wait for longer
inline constexpr seconds kDnsNegativeLife{
    300};  ///< RFC 2308 §5 allows hours; new hosts come sooner
inline constexpr std::size_t kNaptrServices = 8;  ///< SIP knows three transports of ours
inline constexpr std::size_t kSrvTargets = 32;    ///< hosts of one service that are tried
/// names of Contacts and redirections that are remembered
inline constexpr std::size_t kLocatedNames = 1024;
inline constexpr seconds kMostRetryAfter{3600};  ///< a host that asks for more is probed by then

// Numbers looked up in the DNS (RFC 6116)
/// remembered; about 1 MB with one record each
inline constexpr std::size_t kEnumNumbers = 4096;

// SDP
inline constexpr std::size_t kSdpBytes = 32 * kKiB;  ///< WebRTC offers reach 10 KiB
inline constexpr std::size_t kSdpParts = 16;         ///< descriptions in one multipart body
inline constexpr std::size_t kSdpMediaLines = 32;    ///< m= lines of one description
inline constexpr std::size_t kSdpLines = 2048;

// Calls
inline constexpr std::size_t kCallsPerSession = 256;  ///< half the channels, for audio and video
inline constexpr std::size_t kBindingsPerSession = 1024;  ///< phones behind one connector
/// seconds; a registrar that grants or demands more is mistaken (136 years in RFC 3261)
inline constexpr std::uint32_t kLongestRegistration_s = 7 * 86'400;
inline constexpr std::size_t kServiceRoutes = 8;  ///< proxies on the way out; a network has 2 or 3
/// registrations of ours toward providers that are open at once: a start does not flood them
inline constexpr std::size_t kOpenRegistrations = 64;
/// of a registrar's 2xx, to answer refreshes with; a larger one is asked each time
inline constexpr std::size_t kKeptRegisterBytes = 4 * kKiB;
inline constexpr std::size_t kForksPerCall = 16;    ///< early dialogs of one INVITE
inline constexpr std::size_t kContactsPerAor = 16;  ///< devices of one user
/// places that one request is tried at, one after the other
inline constexpr std::size_t kAttemptsPerRequest = 16;
inline constexpr std::size_t kRefersPerDialog = 16;  ///< whose CSeq an Event id may still name
/// times that one request is sent again with credentials: two realms, each with a stale nonce
inline constexpr unsigned kDigestAttempts = 4;
inline constexpr std::size_t kDigestClients = 20'000;  ///< of providers' users; the oldest give way
/// dialog and target elements of one notification: a large PBX's busy lamps
inline constexpr std::size_t kDialogInfoElements = 1024;
inline constexpr std::size_t kDialogInfoAttributes = 32;  ///< of one element; RFC 4235 knows 5
/// places that Refer-To and dialog-info lead to through us, and dialogs told of under other names
inline constexpr std::size_t kReferrals = 8192;
inline constexpr Duration kReferralLife = seconds(600);    ///< of one, since it was last told
inline constexpr std::size_t kEndedCallIds = 4096;         ///< calls that In-Reply-To may name
inline constexpr Duration kReferUsageLife = seconds(180);  ///< of a transfer that tells no time
/// for which a subscription may keep a dialog whose call is over; a transfer rings for less
inline constexpr Duration kUsageLife = seconds(600);
/// of the built-in registrar in all: about 200 MB when each is as large as may be
inline constexpr std::size_t kRegistrarContacts = 100'000;
/// URI, parameters and Path of one contact: real ones take 300
inline constexpr std::size_t kContactBytes = 2 * kKiB;
inline constexpr std::size_t kPathPerContact = 8;  ///< proxies between a phone and its registrar
/// users whose contacts are looked through for expired ones in one go, once a second
inline constexpr std::size_t kRegistrarSweepUsers = 4096;
/// that wait for a lookup or for a device of the user; each is a message of some KiB
inline constexpr std::size_t kParkedRequests = 4096;
inline constexpr Duration kLookupLife = seconds(5);  ///< DNS and ENUM; a resolver's own retries fit
/// a link's requests outside dialogs that wait for their answers: a PBX's OPTIONS and MESSAGEs
inline constexpr std::size_t kExchangesPerSession = 512;
/// hosts that may speak in a call's dialogs: its Contacts and routes lead to 2 or 3
inline constexpr std::size_t kPeersPerCall = 16;
/// that no call leads to any more, and that may still repeat its last requests
inline constexpr std::size_t kRestingPeers = 10'000;
inline constexpr std::size_t kRequestsPerCall = 64;  ///< unanswered in a dialog; a phone has 1 or 2

// Routing
/// a pattern or substitution of a rule, or of a NAPTR record; RFC 3403 §4.1 allows 255
inline constexpr std::size_t kPatternBytes = 256;
/// of one compiled pattern: a set of all letters repeated 100 times fits
inline constexpr std::int64_t kPatternMemoryBytes = 1 << 20;

// Defence
inline constexpr std::size_t kAdmissionKeys = 20'000;  ///< accounts and sources: about 3 MB
inline constexpr std::size_t kStrangers = 10'000;      ///< sources that are not served: 2 MB
/// a source quiet for this long may have been mended: it is answered again
inline constexpr Duration kStrangerForgotten = seconds(3600);
inline constexpr Duration kStrangerLogInterval = seconds(60);  ///< between lines of one source

// Waking clients
/// wake-ups that wait for each of push.concurrency
inline constexpr std::size_t kPushesWaitingPerSlot = 100;
inline constexpr std::size_t kPushResponseBytes =
    8 * kKiB;  ///< head of the answer; the rest is not read

// Authentication
inline constexpr std::size_t kTokenBytes = 6 * kKiB;  ///< a JWT inside kHelloBytes
inline constexpr std::size_t kHmacKeyBytes = 32;  ///< RFC 7518 §3.2: as long as the hash output
inline constexpr std::size_t kKeyFileBytes = 64 * kKiB;    ///< a PEM key is below 4 KiB
inline constexpr std::size_t kPasswordBytes = 1024;        ///< what scrypt is fed at most
inline constexpr std::size_t kUserNameBytes = 128;         ///< user part of an address of record
inline constexpr std::size_t kAorsPerUser = 256;           ///< a token's "aors" claim; more is "*"
inline constexpr std::uint64_t kScryptBytes = 256 * kMiB;  ///< memory of one password check
inline constexpr unsigned kAuthBurstPerSource = 20;  ///< failures in a row: an office behind a NAT
inline constexpr Duration kAuthRefillPerSource = seconds(3);
/// above a source's, or one could lock users out
inline constexpr unsigned kAuthBurstPerUser = 50;
inline constexpr Duration kAuthRefillPerUser = seconds(2);
inline constexpr std::size_t kAuthKeys = 20'000;  ///< remembered sources, and users: about 3 MB

// Operation
/// 10,000 users fit; a wrong path does not fill memory
inline constexpr std::size_t kConfigFileBytes = kMiB;
inline constexpr std::size_t kLogValueBytes = 512;                 ///< one value of a log line
inline constexpr unsigned kLogBurstPerEvent = 50;                  ///< lines of one event in a row,
inline constexpr Duration kLogRefillPerEvent = milliseconds(200);  ///< and then five a second
inline constexpr std::size_t kLogEvents = 512;  ///< event names are ours: a few hundred
/// label values must not come from outside; this shows if one does
inline constexpr std::size_t kMetricSeries = 20'000;
inline constexpr std::size_t kAdminConnections = 64;  ///< scrapers and operators
inline constexpr std::size_t kAdminHeaderBytes = 8 * kKiB;
inline constexpr Duration kAdminIdle = seconds(30);  ///< also the time a request may take to arrive

// Media
/// digits waiting to be played; a calling card's number and PIN
inline constexpr std::size_t kDtmfQueueDigits = 64;
/// after the last packet of an event whose end was lost: three packets of the usual 50 ms
inline constexpr Duration kDtmfEndLost = milliseconds(150);
/// one digit; an INFO may ask for any length
inline constexpr Duration kDtmfEventLife = seconds(60);
/// source learning after the remote SDP is known
inline constexpr Duration kLearnWindow = seconds(5);
/// read from one socket at once: 0.6 s of one audio stream
inline constexpr std::size_t kMediaBatchPackets = 32;
inline constexpr int kMediaBatchesPerTurn = 4;  ///< then the other sockets have their turn
/// pairs that another process may hold before we give up
inline constexpr std::size_t kMediaPortTries = 64;
/// kept bound for calls to come: 340 new calls a second find one, in some 8 MB of the system's
inline constexpr std::size_t kSpareMediaPairs = 1024;
/// without a packet on a kept pair before another call gets it: a phone that has missed the BYE
/// still sends, every 20 ms
inline constexpr Duration kSparePairQuiet = seconds(3);
/// that come to a kept pair before it is closed, so that ICMP tells their sender: 5 s of one stream
inline constexpr std::size_t kSparePairLatePackets = 250;

// Audio (client SDK)
/// longest RTP audio packet: Opus's (RFC 7587 §4.2)
inline constexpr unsigned kAudioPacketMs = 120;
/// 5 s of 20 ms: a consumer that slow has stopped
inline constexpr std::size_t kJitterPackets = 256;
/// a file to play lies in memory: 115 MB at 16 kHz
inline constexpr unsigned kAudioFileSeconds = 3600;
/// between sound card and media thread: a busy scheduler
inline constexpr unsigned kDeviceRingMs = 400;

}  // namespace isthmus::limits
