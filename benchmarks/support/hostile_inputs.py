"""What a hostile caller, or a hostile upstream, may send: the table of `benchmarks.hostile`.

Each is small to send or slow to read. To add one, add a row: the functions in `tests.support.bombs`
make most bodies.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.support import bombs, canned

CHAT_PATH = "/v1/chat/completions"
JSON_TYPE = "application/json"
SMALL_REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'


@dataclass(frozen=True)
class HostileInput:
    """A request, and the response that its upstream gives. `request` and `response` make a body of
    about so many bytes, before any content-encoding."""

    label: str
    request: Callable[[int], Iterable[bytes]] = lambda _: [SMALL_REQUEST]
    encoding: str = ""  # of the request's body; codings in the order in which they are applied
    content_type: str = JSON_TYPE
    path: str = CHAT_PATH
    headers: tuple[str, ...] = ()
    response: Callable[[int], Iterable[bytes]] | None = None  # None: a small one
    response_type: str = JSON_TYPE
    response_encoding: str = ""

    def request_body(self, size: int) -> bytes:
        return encode(self.request(size), self.encoding)

    def response_steps(self, size: int) -> list[canned.Step]:
        """Returns what the stand-in provider is to do."""
        if self.response is None:
            return canned.as_json(canned.chat("hello"))
        headers = [("content-type", self.response_type)]
        if self.response_encoding:
            headers.append(("content-encoding", self.response_encoding))
        return canned.whole(encode(self.response(size), self.response_encoding), headers=headers)


def encode(pieces: Iterable[bytes], encoding: str) -> bytes:
    body = pieces
    for coding in filter(None, encoding.split(", ")):
        body = [CODERS[coding](body)]
    return b"".join(body)


def deflate(pieces: Iterable[bytes]) -> bytes:
    compressor = zlib.compressobj(9)
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])


CODERS = {**bombs.ENCODERS, "deflate": deflate}


def _in_messages(value: bytes) -> Callable[[int], Iterator[bytes]]:
    """Returns a maker of ordinary chat requests, but for a value that stands in front of the
    messages."""

    def make(size: int) -> Iterator[bytes]:
        yield b'{"model":"gpt-4o-mini","x":' + value + b',"messages":[' + bombs.MESSAGE
        yield from bombs.repeated(b"," + bombs.MESSAGE, size)
        yield b"]}"

    return make


def _model_first(size: int) -> Iterator[bytes]:
    yield b'{"model":"gpt-4o-mini","messages":[' + bombs.MESSAGE
    yield from bombs.repeated(b"," + bombs.MESSAGE, size)
    yield b"]}"


def _cut_short(size: int) -> Iterator[bytes]:
    yield b'{"model":"gpt-4o-mini","messages":[' + bombs.MESSAGE
    yield from bombs.repeated(b"," + bombs.MESSAGE, size)


def _with_bom(size: int) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf"
    yield from bombs.request_of_messages(size)


def _deep(size: int) -> Iterator[bytes]:
    yield b'{"model":"gpt-4o-mini","messages":'
    yield from bombs.repeated(b"[", size // 2)
    yield from bombs.repeated(b"]", size // 2)
    yield b"}"


def _small_arrays(size: int) -> Iterator[bytes]:
    yield b'{"messages":[[]'
    yield from bombs.repeated(b",[]", size)
    yield b'],"model":"gpt-4o-mini"}'


def _many_fields(size: int) -> Iterator[bytes]:
    yield b'{"model":"gpt-4o-mini"'
    yield from bombs.repeated(b',"model":"gpt-4o-mini"', size)
    yield b"}"


def _images(size: int) -> Iterator[bytes]:
    yield b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"'
    yield b"data:image/png;base64,"
    yield from bombs.repeated(b"iVBORw0KGgoAAAANSUhEUgAA", size)
    yield b'"}}]}],"model":"gpt-4o-mini"}'


def _almost_images(size: int) -> Iterator[bytes]:
    """Words of base64's letters that are just too short for an image."""
    yield b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"base64 '
    yield from bombs.repeated(b"a" * 990 + b" ", size)
    yield b'"}]}'


def _parts(size: int) -> Iterator[bytes]:
    yield from bombs.repeated(b'--b\r\ncontent-disposition: form-data; name="x"\r\n\r\ny\r\n', size)
    yield b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'


def _embeddings(size: int) -> Iterator[bytes]:
    yield b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5'
    yield from bombs.repeated(b",0.5", size)
    yield b']}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}'


def _parameters(size: int) -> Iterator[bytes]:
    yield b'{"model":"gpt-4o-mini","x":[[]'
    yield from bombs.repeated(b",[]", size)
    yield b'],"messages":[]}'


def _many(unit: bytes) -> Callable[[int], Iterator[bytes]]:
    return lambda size: bombs.repeated(unit, size)


def _tool_calls(size: int) -> Iterator[bytes]:
    """Yields events that each begin a tool call."""
    event = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"%d"}]}}]}\n\n'
    for number in range(size // 90):
        yield event % (number, number)


MESSAGES = bombs.request_of_messages
SSE = "text/event-stream"
INPUTS = (
    HostileInput("nothing hostile"),
    HostileInput("messages, gzip", MESSAGES, "gzip"),
    HostileInput("messages, deflate", MESSAGES, "deflate"),
    HostileInput("messages, brotli", MESSAGES, "br"),
    HostileInput("messages, zstd", MESSAGES, "zstd"),
    HostileInput("messages, gzip in brotli", MESSAGES, "gzip, br"),
    HostileInput("messages, zstd, model first", _model_first, "zstd"),
    HostileInput("messages, plain, model last", MESSAGES),
    HostileInput("messages, cut short", _cut_short),
    HostileInput("messages, with a BOM", _with_bom),
    HostileInput("messages, with NaN", _in_messages(b"NaN")),
    HostileInput("messages, with a lone surrogate", _in_messages(rb'"\ud800"')),
    HostileInput("messages, not UTF-8", _in_messages(b'"\xff"')),
    HostileInput("nested deeply", _deep),
    HostileInput("small arrays", _small_arrays),
    HostileInput("the model, again and again", _many_fields),
    HostileInput("an image (ordinary)", _images),
    HostileInput("an image (ordinary), gzip", _images, "gzip"),
    HostileInput("words almost as long as an image", _almost_images),
    HostileInput(
        "a form of many parts",
        _parts,
        content_type="multipart/form-data; boundary=b",
        path="/v1/audio/transcriptions",
    ),
    HostileInput(
        "a query and headers of 60 KB",
        path=CHAT_PATH + "?" + "&a=b" * 7_500,
        headers=tuple(f"x-agentledger-tag-{number}: {'y' * 70}" for number in range(300)),
    ),
    HostileInput(
        "response: events, gzip",
        response=bombs.stream_of_deltas,
        response_type="text/event-stream",
        response_encoding="gzip",
    ),
    HostileInput(
        "response: events, zstd",
        response=bombs.stream_of_deltas,
        response_type="text/event-stream",
        response_encoding="zstd",
    ),
    HostileInput(
        "response: choices, gzip", response=bombs.response_of_choices, response_encoding="gzip"
    ),
    HostileInput("response: choices, plain", response=bombs.response_of_choices),
    HostileInput("response: an embedding", response=_embeddings, path="/v1/embeddings"),
    HostileInput("parameters of small arrays", _parameters),
    HostileInput("response: empty events", response=_many(b"data: {}\n\n"), response_type=SSE),
    HostileInput("response: lines of one event", response=_many(b"data: x\n"), response_type=SSE),
    HostileInput("response: tool calls", response=_tool_calls, response_type=SSE),
    HostileInput("response: zeros, gzip", response=_many(b"\0"), response_encoding="gzip"),
    HostileInput("response: backslashes", response=_many(b"\\/")),
)
