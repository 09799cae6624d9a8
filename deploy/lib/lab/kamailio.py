"""Kamailio from Debian as the provider: registrar and proxy with digest, nothing stored on disk."""

import glob
import shutil

from .net import LabError

_CONFIGURATION = """#!KAMAILIO
# A registrar and proxy in memory: digest for everyone, Record-Route, no database.
debug={debug}
log_stderror=yes
fork=yes
children=2
{streams}
auto_aliases=no
dns=off
rev_dns=off
{listens}
alias="{domain}"

mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "htable.so"
loadmodule "xlog.so"
{tls_module}

modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", {max_expires})
# Requests inside dialogs are not looked up here, which GRUUs (RFC 5627) would need.
modparam("registrar", "gruu_enabled", 0)
modparam("auth", "nonce_expire", 300)
modparam("htable", "htable", "users=>size=6;")
modparam("htable", "htable", "static=>size=6;")

event_route[htable:mod-init] {{
{users}
{static}
}}

request_route {{
{tls_route}
  if (!mf_process_maxfwd_header("10")) {{
    sl_send_reply("483", "Too Many Hops");
    exit;
  }}
  if (is_method("CANCEL")) {{
    if (t_check_trans()) t_relay();
    exit;
  }}
  if (has_totag()) {{
    if (loose_route()) {{
      t_relay();
      exit;
    }}
    if (is_method("ACK")) {{
      if (t_check_trans()) t_relay();
      exit;
    }}
    sl_send_reply("404", "Not Here");
    exit;
  }}
  if (is_method("OPTIONS") && $rU == $null) {{
    sl_send_reply("200", "OK");
    exit;
  }}
  t_check_trans();

  # Calls that a test sends to a place of its own: by "user@domain" or by "domain", no questions asked.
  if ($sht(static=>$rU@$rd) != $null) {{
    $du = $sht(static=>$rU@$rd);
    record_route();
    t_relay();
    exit;
  }}
  if ($sht(static=>$rd) != $null) {{
    $du = $sht(static=>$rd);
    record_route();
    t_relay();
    exit;
  }}

  # The password is looked up by the From user: nobody authenticates as one and calls as another.
  if ($sht(users=>$fU) == $null) {{
    sl_send_reply("403", "Unknown user");
    exit;
  }}
  if (is_method("REGISTER")) {{
    xlog("L_ALERT", "saw REGISTER of $tU expires=$hdr(Expires) credentials=$au contact=$ct\\n");
    if (!pv_www_authenticate("{domain}", "$sht(users=>$fU)", "0")) {{
      www_challenge("{domain}", "1");
      exit;
    }}
    if (!save("location")) sl_reply_error();
    exit;
  }}
  if (!pv_proxy_authenticate("{domain}", "$sht(users=>$fU)", "0")) {{
    proxy_challenge("{domain}", "1");
    exit;
  }}
  consume_credentials();
  record_route();
  if (!lookup("location")) {{
    sl_send_reply("404", "Not Found");
    exit;
  }}
  t_relay();
}}
"""


# Whom it takes each request's connection for, on the log: certificate and server name (SNI).
_TLS_ROUTE = """  if ($proto == "tls") {
    xlog("L_ALERT", "by TLS: $rm $rU@$rd server=$tls_peer_server_name client=$tls_peer_subject_cn\\n");
  }"""


def module_directory():
    found = glob.glob("/usr/lib/*/kamailio/modules/") + glob.glob("/usr/lib/kamailio/modules/")
    if not found:
        raise LabError("Kamailio's modules are not installed")
    return found[0]


class Kamailio:
    """Runs on the host until the programs are stopped."""

    def __init__(
        self,
        programs,
        host,
        address,
        domain,
        users,
        debug=1,
        max_expires=3600,
        static=None,
        listens=(),
        tls=None,
    ):
        """`listens`: more places, as "tcp:192.0.2.1:5060"; `tls`: text of its TLS profiles."""
        program = shutil.which("kamailio") or "/usr/sbin/kamailio"
        self.address, self.port, self.domain, self.users = address, host.port(5060), domain, users
        listens = [f"udp:{address}:{self.port}", *listens]
        tls_profiles = programs.directory / "kamailio-tls.cfg"
        tls_profiles.write_text(tls or "", encoding="utf-8")
        streams = any(not place.startswith("udp:") for place in listens)
        configuration = programs.directory / "kamailio.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                streams=("disable_tcp=no\ntcp_children=2" if streams else "disable_tcp=yes")
                + ("\nenable_tls=yes" if tls else ""),
                listens="\n".join(f"listen={place}" for place in listens),
                tls_module=f'loadmodule "tls.so"\nmodparam("tls", "config", "{tls_profiles}")'
                if tls
                else "",
                tls_route=_TLS_ROUTE if tls else "",
                domain=domain,
                debug=debug,
                max_expires=max_expires,
                modules=module_directory(),
                static="\n".join(
                    f'  $sht(static=>{name}) = "{uri}";' for name, uri in (static or {}).items()
                ),
                users="\n".join(
                    f'  $sht(users=>{name}) = "{password}";' for name, password in users.items()
                ),
            ),
            encoding="utf-8",
        )
        runtime = programs.directory / "kamailio-run"
        runtime.mkdir(exist_ok=True)
        # -DD: in the foreground, with its workers; -m, -M: MB of memory, far below Debian's.
        self.program = programs.start(
            host,
            "kamailio",
            [
                *[program, "-f", configuration, "-DD", "-E", "-Y", runtime],
                *["-m", "64" if tls else "16", "-M", "16" if tls else "4"],
            ],
        )
        host.wait_udp(self.port)

    def registers(self, user):
        """The REGISTERs that it saw of that user, each as the text of its log line."""
        return [
            line
            for line in self.program.output().splitlines()
            if f"saw REGISTER of {user} " in line
        ]
