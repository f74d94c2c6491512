"""Whose program is at the other end of a connection within this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from access.local.connection_owner import (
    Endpoint,
    ask_kernel,
    find_owner,
    is_known,
    is_ours,
    search_tables,
)
from access.request_checks import parse_address

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
# A client's family and address, the server's, and how the server sees the client.
KINDS = {
    "IPv4": (socket.AF_INET, "127.0.0.1", socket.AF_INET, "127.0.0.1"),
    "IPv4, another address": (socket.AF_INET, "127.0.0.9", socket.AF_INET, "127.0.0.9"),
    "IPv6": (socket.AF_INET6, "::1", socket.AF_INET6, "::1"),
    "IPv4 to IPv6": (socket.AF_INET, "127.0.0.1", socket.AF_INET6, "::"),
    "IPv6 to IPv4": (socket.AF_INET6, "::ffff:127.0.0.1", socket.AF_INET, "127.0.0.1"),
    "mapped on both sides": (socket.AF_INET6, "::ffff:127.0.0.1", socket.AF_INET6, "::"),
}


@dataclass
class Connected:
    client: socket.socket
    accepted: socket.socket
    # As a server sees them, which is as ASGI scopes have them.
    peer: tuple[str, int]
    server: tuple[str, int]

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        return endpoint(self.peer), endpoint(self.server)


def endpoint(address: tuple[str, int]) -> Endpoint:
    ip = parse_address(address[0])
    assert ip is not None
    return ip, address[1]


@contextmanager
def connected(kind: str = "IPv4", user: int | None = None) -> Iterator[Connected]:
    family, address, server_family, server_address = KINDS[kind]
    with ExitStack() as stack:
        dual = server_family == socket.AF_INET6
        listener = stack.enter_context(
            socket.create_server((server_address, 0), family=server_family, dualstack_ipv6=dual)
        )
        client = stack.enter_context(make_socket(family, user))
        client.connect((address, listener.getsockname()[1]))
        accepted, peer = listener.accept()
        stack.enter_context(accepted)
        yield Connected(client, accepted, peer[:2], accepted.getsockname()[:2])


def make_socket(family: int, user: int | None) -> socket.socket:
    """Returns a socket of this user; None: of our own."""
    if user is None:
        return socket.socket(family)
    own = os.geteuid()
    os.seteuid(user)
    try:
        return socket.socket(family)
    finally:
        os.seteuid(own)


@pytest.mark.parametrize("ask", [find_owner, ask_kernel, search_tables])
@pytest.mark.parametrize("kind", KINDS)
def test_an_open_connection_has_the_user_of_its_client(
    kind: str, ask: Callable[[Endpoint, Endpoint], int | None]
) -> None:
    with connected(kind) as connection:
        assert ask(*connection.ends) == os.geteuid()
        assert is_ours(connection.peer, connection.server)
        # A client that has sent all it has to say still waits for the response.
        connection.client.shutdown(socket.SHUT_WR)
        assert ask(*connection.ends) == os.geteuid()


@as_root
@pytest.mark.parametrize("ask", [find_owner, ask_kernel, search_tables])
@pytest.mark.parametrize("kind", KINDS)
def test_another_users_client_is_not_ours(
    kind: str, ask: Callable[[Endpoint, Endpoint], int | None]
) -> None:
    with connected(kind, user=NOBODY) as connection:
        assert ask(*connection.ends) == NOBODY
        assert not is_ours(connection.peer, connection.server)


@pytest.mark.parametrize("ask", [find_owner, search_tables])
@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_client_is_nobodys(
    kind: str, ask: Callable[[Endpoint, Endpoint], int | None]
) -> None:
    """The kernel gives the user 0 for its socket: that is not root."""
    with connected(kind) as connection:
        connection.client.close()  # it waits for our end
        assert ask(*connection.ends) is None
        connection.accepted.close()  # TIME_WAIT
        assert ask(*connection.ends) is None
        assert not is_ours(connection.peer, connection.server)


def test_who_only_listens_at_the_clients_port_is_not_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert find_owner(endpoint(listener.getsockname()), endpoint(("127.0.0.1", 9))) is None


def test_the_other_end_is_ours_and_not_the_clients() -> None:
    """Asked the wrong way round, every connection would be our own."""
    with connected() as connection:
        there, here = connection.ends
        assert find_owner(here, there) == os.geteuid()
    if os.getuid() == 0:
        with connected(user=NOBODY) as connection:
            assert not is_ours(connection.peer, connection.server)
            assert is_ours(connection.server, connection.peer)


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (None, None),
        (None, ("/run/agentledger.sock", None)),
        (("127.0.0.1", 0), ("127.0.0.1", 8000)),  # what uvicorn makes of X-Forwarded-For
        (("127.0.0.1", 70000), ("127.0.0.1", 8000)),
        (("testclient", 50000), ("testserver", 80)),
        ((), ()),
    ],
)
def test_what_is_no_connection_is_not_ours(client: object, server: object) -> None:
    assert not is_ours(client, server)


def test_this_machine_knows_who_connects() -> None:
    assert is_known()
