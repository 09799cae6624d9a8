"""The machines of every scene, and the cables between them.

    desk ---- office ====(uplink)==== gateway ---- provider
              mobile ====(uplink)====/

`desk` holds phones, `office` the connector, `mobile` programs that speak to the gateway themselves,
`provider` the registrar, proxy and phones of the other side. There is no route around the gateway.
"""


class Site:
    """Lays the cables on construction; the network owns the hosts."""

    def __init__(self, network):
        self.network = network
        self.desk, self.office, self.mobile, self.gateway, self.provider = (
            network.host(name) for name in ("desk", "office", "mobile", "gateway", "provider")
        )
        network.cable(self.desk, "lan0", "192.168.50.10/24", self.office, "lan0", "192.168.50.1/24")
        network.cable(
            self.office, "up0", "198.51.100.2/30", self.gateway, "office0", "198.51.100.1/30"
        )
        network.cable(
            self.mobile, "up0", "198.51.100.6/30", self.gateway, "mobile0", "198.51.100.5/30"
        )
        network.cable(
            self.gateway, "prov0", "203.0.113.1/24", self.provider, "eth0", "203.0.113.10/24"
        )
        self.desk_address = self.desk.address("lan0")
        self.office_address = self.office.address("lan0")
        self.gateway_address = self.gateway.address("prov0")
        self.provider_address = self.provider.address("eth0")

    def add_ipv6(self):
        """Addresses on the desk's and the provider's cable: (connector, desk, gateway, provider)."""
        places = (
            (self.office, "lan0", "2001:db8:50::1"),
            (self.desk, "lan0", "2001:db8:50::10"),
            (self.gateway, "prov0", "2001:db8:5::1"),
            (self.provider, "eth0", "2001:db8:5::10"),
        )
        for host, name, address in places:
            for scope in ("all", "default", "lo", name):
                host.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
            host.run("ip", "-6", "address", "add", f"{address}/64", "dev", name, "nodad")
        return tuple(address for _, _, address in places)

    def url(self, gateway, from_host):
        """Where a client on office or mobile finds the gateway program."""
        interface = "office0" if from_host is self.office else "mobile0"
        return f"wss://{self.gateway.address(interface)}:{gateway.websocket_port}"
