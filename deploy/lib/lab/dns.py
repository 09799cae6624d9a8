"""A DNS server with the records that a test needs: dnsmasq, which knows SRV and NAPTR."""


class Dns:
    """Serves on address:port, for as long as the programs run.

    `srv` is (service name, target, port, priority, weight), `naptr` (name, order, preference,
    flags, service, regexp[, replacement]), `addresses` name → address.
    """

    def __init__(self, programs, host, address, port, addresses, srv=(), naptr=(), name="dns"):
        self.address, self.port = address, port
        argv = [
            "/usr/sbin/dnsmasq",
            "--keep-in-foreground",
            "--log-facility=-",
            "--log-queries",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--group=root",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--except-interface=lo",
            f"--listen-address={address}",
            f"--port={port}",
            "--local=/example.net/",
            "--local=/example/",
            "--local-ttl=1",
        ]
        argv += [f"--host-record={record},{to}" for record, to in addresses.items()]
        argv += [
            f"--srv-host={service},{target},{to_port},{priority},{weight}"
            for service, target, to_port, priority, weight in srv
        ]
        argv += ["--naptr-record=" + ",".join(str(part) for part in record) for record in naptr]
        self.program = programs.start(host, name, argv)
        self.program.wait_output("started, version")

    def queries(self):
        """Lines of its log that name a question."""
        return [line for line in self.program.output().splitlines() if "query[" in line]

    def stop(self):
        self.program.stop()
