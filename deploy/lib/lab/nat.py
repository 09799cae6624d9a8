"""A home's router: forwards for the hosts behind it, with nftables' masquerade, and forgets them."""


class Nat:
    """`router` forwards out of `outside`; each change gives whoever is behind it other ports."""

    def __init__(self, router, outside):
        self.router, self.outside = router, outside
        self._first_port = 40000
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self._nft(
            "table ip lab {\n"
            "chain nat { type nat hook postrouting priority srcnat; }\n"
            "chain filter { type filter hook forward priority filter; }\n"
            "}\n"
        )
        self._translate("masquerade to :")

    def _nft(self, rules):
        self.router.run("nft", "-f", "-", input=rules)

    def _translate(self, to):
        ports = f"{self._first_port}-{self._first_port + 999}"
        self._first_port += 1000
        self._nft(
            "flush chain ip lab nat\n"
            f'add rule ip lab nat oifname "{self.outside}" meta l4proto {{ tcp, udp }}'
            f" {to}{ports} random"
        )

    def _forget(self):
        self.router.run("conntrack", "-F", check=False)

    def change_port(self):
        """Forgets all mappings; new ones have other ports."""
        self._translate("masquerade to :")
        self._forget()

    def change_address(self, address):
        """The same with another public address, which must be routed to this host."""
        self.router.run("ip", "address", "add", f"{address}/32", "dev", self.outside)
        self._translate(f"snat to {address}:")
        self._forget()

    def block_udp(self, port):
        self._nft(f"add rule ip lab filter udp dport {port} drop")

    def block_all(self):
        """Nothing passes, nobody is told."""
        self._nft("add rule ip lab filter drop")

    def lose(self, percent):
        """Of the packets in each direction, at random."""
        self._nft(f"add rule ip lab filter numgen random mod 100 < {percent} counter drop")

    def unblock(self):
        self._nft("flush chain ip lab filter")
