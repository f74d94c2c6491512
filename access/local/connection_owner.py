"""Finds the user whose program is at the other end of a connection within this machine.

The kernel is asked for the client's own socket: by sock_diag, which takes 11 µs whatever else is
connected, or by /proc/net/tcp where a sandbox has no netlink. A socket that has been closed is
nobody's: the kernel gives the user 0 for it, as if it were root's.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import closing
from functools import cache
from pathlib import Path

from access.request_checks import Address, parse_address

Endpoint = tuple[Address, int]

UID_MAP = Path("/proc/self/uid_map")
WITHOUT_NAMESPACE = ["0", "0", "4294967295"]
# Stands for all users that have no number in a namespace; services share it, too.
NOBODY = 65534

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NO_COOKIE = 0xFFFFFFFF
ALL_STATES = 0xFFFFFFFF
LISTEN = 10
MESSAGE_HEADER = struct.Struct("=IHHII")
# inet_diag_req_v2 and the parts of inet_diag_msg before and behind the addresses: linux/inet_diag.h
REQUEST = struct.Struct("=BBBxI")
REPLY = struct.Struct("=BBBB")
PORTS = struct.Struct("!HH")
COUNTS = struct.Struct("=IIIII")  # expires, rqueue, wqueue, uid, inode
ID_SIZE = 48


def is_ours(client: object, server: object) -> bool:
    """Returns whether the socket at `client`, connected to us at `server`, belongs to the user that
    this process runs as. Both are as in an ASGI scope: address and port, or None."""
    ends = _parse_endpoint(client), _parse_endpoint(server)
    if ends[0] is None or ends[1] is None:
        return False
    return find_owner(ends[0], ends[1]) == os.geteuid()


@cache
def is_known() -> bool:
    """Returns whether this process learns who connects to it: not on other systems, and not in a
    user namespace, where several users may look like one."""
    if sys.platform != "linux" or os.geteuid() == NOBODY:
        return False
    try:
        if UID_MAP.read_text().split() != WITHOUT_NAMESPACE:
            return False
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=5) as client,
        ):
            return is_ours(client.getsockname(), client.getpeername())
    except OSError:
        return False


def find_owner(client: Endpoint, server: Endpoint) -> int | None:
    """Returns the user of the client's socket; None if there is no such socket any more, or the
    kernel does not say."""
    try:
        return ask_kernel(client, server)
    except OSError:
        pass  # a sandbox without netlink, a kernel without sock_diag, or no such socket
    try:
        return search_tables(client, server)
    except OSError:
        return None


def _parse_endpoint(value: object) -> Endpoint | None:
    match value:
        case [str(address), int(port), *_] if 0 < port < 65536:
            ip = parse_address(address)
            return (ip, port) if ip is not None else None
    return None


# --- sock_diag ---


def ask_kernel(client: Endpoint, server: Endpoint) -> int | None:
    """Raises OSError."""
    (source, source_port), (target, target_port) = client, server
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    ports = PORTS.pack(source_port, target_port)
    addresses = source.packed.ljust(16, b"\0") + target.packed.ljust(16, b"\0")
    identity = ports + addresses + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    body = REQUEST.pack(family, socket.IPPROTO_TCP, 0, ALL_STATES) + identity
    size = MESSAGE_HEADER.size + len(body)
    header = MESSAGE_HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    with closing(asking):
        asking.settimeout(1)
        asking.send(header + body)
        reply = asking.recv(8192)
    _, kind, *_ = MESSAGE_HEADER.unpack_from(reply)
    at = MESSAGE_HEADER.size
    if kind != SOCK_DIAG_BY_FAMILY:
        [error] = struct.unpack_from("=i", reply, at)
        raise OSError(-error, os.strerror(-error))
    found_family, state, *_ = REPLY.unpack_from(reply, at)
    found = reply[at + REPLY.size :][:ID_SIZE]
    *_, uid, inode = COUNTS.unpack_from(reply, at + REPLY.size + ID_SIZE)
    is_same = _read_endpoints(found, found_family) == (client, server)
    # Where nothing is connected, the kernel may return a socket that listens at the client's port.
    return uid if is_same and state != LISTEN and inode != 0 else None


def _read_endpoints(identity: bytes, family: int) -> tuple[Endpoint, Endpoint] | None:
    """Returns the client and the server of a reply: a socket of IPv6 may be connected to IPv4."""
    size = 4 if family == socket.AF_INET else 16
    source, target = (socket.inet_ntop(family, identity[at : at + size]) for at in (4, 20))
    ips = parse_address(source), parse_address(target)
    source_port, target_port = PORTS.unpack_from(identity)
    if ips[0] is None or ips[1] is None:
        return None
    return (ips[0], source_port), (ips[1], target_port)


# --- /proc/net ---

TABLES = (("/proc/net/tcp", 4), ("/proc/net/tcp6", 6))
MAPPED = bytes(10) + b"\xff\xff"


def search_tables(client: Endpoint, server: Endpoint) -> int | None:
    """Raises OSError."""
    for table, version in TABLES:
        if client[0].version > version:
            continue
        local, remote = (_write_endpoint(end, version) for end in (client, server))
        with open(table) as lines:
            for line in lines:
                _, *fields = line.split(maxsplit=10)
                if fields[:2] == [local, remote]:
                    uid, inode = int(fields[6]), int(fields[8])
                    return uid if inode != 0 else None
    return None


def _write_endpoint(end: Endpoint, version: int) -> str:
    """Returns the endpoint as a table has it: words of 32 bits in the host's order, in hex. Sockets
    of IPv6 have addresses of IPv4 mapped."""
    ip, port = end
    packed = ip.packed if ip.version == version else MAPPED + ip.packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
