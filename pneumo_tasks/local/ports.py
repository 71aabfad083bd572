"""Free TCP ports on the loopback interface."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that nothing listens on at this moment, all below 50,000.

    SeaweedFS opens a gRPC port at each port + 10,000, so that one must be free too.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port > 50_000:
                port -= 25_000
            if port not in ports and _is_free(port) and _is_free(port + 10_000):
                ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
