"""A stand-in provider that streams: 20 chunks a second to each caller, at little CPU.

    python -m benchmarks.support.stream_standin PORT CHUNKS

The header `x-standin-response-bytes: N` asks for one JSON response of N bytes instead. A
request gets its response when its whole body has come. One that is not a POST gets an empty object.
"""

import asyncio
import sys
from typing import cast

import uvloop

INTERVAL_S = 0.05
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
EVENT = (
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",'
    b'"created":1767225600,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_560af6e559","choices":[{"index":0,"delta":%s,"logprobs":null,'
    b'"finish_reason":%s}],"usage":%s,"obfuscation":"kQ7vTzP2"}\n\n'
)
FIRST = EVENT % (b'{"role":"assistant","content":"","refusal":null}', b"null", b"null")
WORD = EVENT % (b'{"content":" region"}', b"null", b"null")
USAGE = (
    b'{"prompt_tokens":312,"completion_tokens":74,"total_tokens":386,'
    b'"prompt_tokens_details":{"cached_tokens":128}}'
)
LAST = EVENT % (b"{}", b'"stop"', USAGE) + b"data: [DONE]\n\n"
BLOCK = b"long response. " * 4096


def as_chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


OPENING, MIDDLE, ENDING = HEAD + as_chunk(FIRST), as_chunk(WORD), as_chunk(LAST) + b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    start = b""  # what came before the head was whole
    head = b""
    end = b""  # the last bytes of the body
    missing = 0
    chunked = last_request = False
    next_at = 0.0

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.loop = asyncio.get_running_loop()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not instances of it, but have all of it.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.writable.set()  # a long response that waits ends when nobody reads it any more

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        if not self.head:
            self.start += data
            head, found, body = self.start.partition(b"\r\n\r\n")
            if not found:
                return
            self.start = b""
            self.head = head.lower()
            length = header(self.head, b"content-length")
            self.missing = int(length) if length else 0
            self.chunked = b"\r\ntransfer-encoding: chunked" in self.head
            self.last_request = b"\r\nconnection: close" in self.head
            data = body
        self.missing -= len(data)
        self.end = (self.end + data)[-5:]
        if self.end == b"0\r\n\r\n" if self.chunked else self.missing <= 0:
            self._response(self.head)
            self.start, self.head, self.end = b"", b"", b""

    def _response(self, head: bytes) -> None:
        size = header(head, b"x-standin-response-bytes")
        if not head.startswith(b"post "):
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        elif size:
            self.long_response = self.loop.create_task(self._response_at_length(int(size)))
        else:
            self.transport.write(OPENING)
            self.next_at = self.loop.time() + INTERVAL_S
            self.loop.call_at(self.next_at, self._go_on, self.chunks - 1)

    def _go_on(self, chunks_left: int) -> None:
        if self.transport.is_closing():
            return
        if chunks_left == 1:
            self.transport.write(ENDING)
            if self.last_request:
                self.transport.close()
            return
        self.transport.write(MIDDLE)
        self.next_at += INTERVAL_S  # by the clock, so that a late chunk does not delay the others
        self.loop.call_at(self.next_at, self._go_on, chunks_left - 1)

    async def _response_at_length(self, size: int) -> None:
        opening = b'{"object":"chat.completion","choices":[{"message":{"content":"'
        ending = b'"}}]}'
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (size, opening)
        )
        left = size - len(opening) - len(ending)
        while left > 0 and not self.transport.is_closing():
            await self.writable.wait()
            self.transport.write(BLOCK[:left])
            left -= len(BLOCK)
        self.transport.write(ending)


def header(head: bytes, name: bytes) -> bytes | None:
    """A header's value out of a head in lower case."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else None


async def serve(port: int, chunks: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(chunks), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
