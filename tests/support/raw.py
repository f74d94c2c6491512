"""HTTP/1.1 as bytes on a socket: what HTTP libraries would tidy up stays as it is."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


@dataclass
class RawResponse:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # names in lower case
    body: bytes = b""
    whole: bool = False  # ended as its framing says

    def header(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None and address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S)


def exchange(url: str, request: bytes, *, method: str = "POST") -> RawResponse:
    """Send these bytes, read one response."""
    with connect(url) as connection:
        connection.sendall(request)
        return read_response(connection, has_body=method != "HEAD")


def read_response(connection: socket.socket, *, has_body: bool = True) -> RawResponse:
    response = RawResponse()
    with connection.makefile("rb") as file:
        try:
            _read_head(response, file)
            while 100 <= response.status < 200:
                response.headers.clear()
                _read_head(response, file)
            response.whole = _read_body(response, file, has_body=has_body)
        except ConnectionError:
            pass
    return response


def _read_head(response: RawResponse, file: BufferedReader) -> None:
    line = file.readline()
    if not line:
        raise ConnectionError
    response.status = int(line.split(b" ")[1])
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        response.headers.append((name.lower(), value.strip()))


def _read_body(response: RawResponse, file: BufferedReader, *, has_body: bool) -> bool:
    if not has_body or response.status in (204, 304):
        return True
    if response.header(b"transfer-encoding") == [b"chunked"]:
        while size_line := file.readline():
            size = int(size_line, 16)
            piece = file.read(size)
            response.body += piece
            if len(piece) < size or not file.readline():
                return False
            if size == 0:
                return True
        return False
    if length := response.header(b"content-length"):
        response.body = file.read(int(length[0]))
        return len(response.body) == int(length[0])
    response.body = file.read()
    return True


def request(
    method: str,
    target: str | bytes,
    headers: Sequence[tuple[str, str | bytes]] | None = None,
    body: bytes | None = None,
    *,
    chunks: list[bytes] | None = None,
) -> bytes:
    """A request's bytes; `headers` without host and framing, which are added."""
    target = target if isinstance(target, bytes) else target.encode("latin-1")
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"host: test"]
    for name, value in headers or ():
        encoded = value if isinstance(value, bytes) else value.encode("latin-1")
        lines.append(name.encode("latin-1") + b": " + encoded)
    if chunks is not None:
        lines.append(b"transfer-encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
        body += b"0\r\n\r\n"
    elif body is not None:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + (body or b"")
