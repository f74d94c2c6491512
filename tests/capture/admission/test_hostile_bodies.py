"""Bodies that are made to hide their model, or to stop other callers while it is looked for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support import bombs, canned
from tests.support.ledger import CALL, Ledger
from tests.support.provider import Provider

CHAT = "/v1/chat/completions"
AUDIO = "/v1/audio/transcriptions"
MB = 2**20
OK = canned.as_json(canned.chat("fine"))


def deflate(pieces: Iterable[bytes]) -> bytes:
    return zlib.compress(b"".join(pieces))


ENCODERS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "": b"".join,
    **bombs.ENCODERS,
    "deflate": deflate,
    "gzip, br": lambda pieces: bombs.brotlied([bombs.gzip(pieces)]),
}
encodings = pytest.mark.parametrize("encoding", ENCODERS)


@pytest.fixture(scope="module")
def guarded(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_MODELS_DENY": "denied*", "AGENTLEDGER_BUDGET_DAILY": "1000000"}
    with Ledger(tmp_path_factory.mktemp("hostile"), _provider.url, env=env) as ledger:
        yield ledger


def ask(ledger: Ledger, body: bytes, path: str = CHAT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items() if value}
    return httpx.post(ledger.url + path, content=body, headers=named, timeout=60)


def message_of(response: httpx.Response) -> str:
    message: str = response.json()["error"]["message"]
    return message


@encodings
def test_a_denied_model_behind_many_messages_is_refused(
    guarded: Ledger, provider: Provider, encoding: str
) -> None:
    body = ENCODERS[encoding](bombs.request_of_messages(6 * MB, model=b"denied"))
    response = ask(guarded, body, content_encoding=encoding)
    assert response.status_code == 403
    assert "'denied' is denied" in message_of(response) or "cannot be determined" in message_of(
        response
    )
    assert provider.counts()["received"] == 0


@encodings
@pytest.mark.parametrize("model_first", [True, False])
def test_a_large_body_with_images_passes_unchanged(
    guarded: Ledger, provider: Provider, encoding: str, model_first: bool
) -> None:
    image = base64.b64encode(random.Random(1).randbytes(2 * MB)).decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    messages = [{"role": "user", "content": [url]}]
    fields = [("model", "gpt-4o"), ("messages", messages)]
    body = ENCODERS[encoding]([json.dumps(dict(fields if model_first else fields[::-1])).encode()])
    provider.response(*OK)
    assert ask(guarded, body, content_encoding=encoding).status_code == 200
    [received] = provider.requests()
    assert received.sha256 == hashlib.sha256(body).hexdigest()


FORM = {"content_type": "multipart/form-data; boundary=b"}


def form(*models: bytes, files: int = 0, end: bytes = b"--") -> bytes:
    field = b'--b\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    fields = [field % (b"model", model) for model in models]
    return b"".join([field % (b"x", b"y") * files, *fields, b"--b" + end + b"\r\n"])


@pytest.mark.parametrize(
    ("body", "path", "headers"),
    [
        (b'{"model": "denied", "model": "fine"}', CHAT, {}),
        (b'{"model": "fine", "model": "denied"}', CHAT, {}),
        (rb'{"mod\u0065l": "denied", "model": "fine"}', CHAT, {}),
        (b'{"MODEL": "denied", "model": "fine"}', CHAT, {}),
        (b'{"models": ["denied"], "models": ["fine"]}', CHAT, {}),
        (b'{"model": "denied"} {"model": "fine"}', CHAT, {}),
        (b'{"model": "fine"} {"model": "denied"}', CHAT, {}),
        (b'{"model": "denied", "messages": [', CHAT, {}),
        (b'{"messages": [NaN, "\\ud800", "\xff"], "model": "denied"}', CHAT, {}),
        (b'{"x": ' + b"[" * 9_000 + b"]" * 9_000 + b', "model": "denied"}', CHAT, {}),
        (b'{"x": 1' + b', "x": 1' * 2_000 + b', "model": "denied"}', CHAT, {}),
        (b'{"model": "' + b"\\u0064" * 20_000 + b'", "model": "denied"}', CHAT, {}),
        ('{"model": "denied"}'.encode("utf-16"), CHAT, {}),
        (b'{"+AG0AbwBkAGUAbA-": "denied"}', CHAT, {"content_type": "text/json; charset=utf-7"}),
        (b'{"model": "denied"}', CHAT, {"content_encoding": "compress"}),
        (gzip.compress(b'{"model": "denied"}')[:-4], CHAT, {"content_encoding": "gzip"}),
        (gzip.compress(b'{"model": "denied"}'), CHAT, {"content_encoding": "gzip," * 9}),
        (form(b"fine", b"denied"), AUDIO, FORM),
        (form(b"denied", b"fine"), AUDIO, FORM),
        (form(b"denied", files=2_000), AUDIO, FORM),
        (form(b"fine", end=b""), AUDIO, FORM),
        (b'{"model": "denied"}\r\n' + form(b"fine"), AUDIO, FORM),
        (b'{"model": "denied"}', CHAT, FORM),
        (form(b"fine") + form(b"denied"), AUDIO, FORM),
    ],
)
def test_a_denied_model_cannot_hide(
    guarded: Ledger, provider: Provider, body: bytes, path: str, headers: dict[str, str]
) -> None:
    response = ask(guarded, body, path, **headers)
    assert response.status_code == 403, response.text
    assert provider.counts()["received"] == 0


@pytest.mark.parametrize(
    ("body", "path", "headers"),
    [
        (b"", CHAT, {}),
        (b"{}", CHAT, {}),
        (b'{"x": "denied", "messages": [{"model": "denied"}]}', CHAT, {}),
        (b'\xef\xbb\xbf {"model": "fine", "x": [NaN, "\\ud800", "\xff"]}\n', CHAT, {}),
        (b'{"model": "fine"}', CHAT, {"content_type": "application/json; charset=UTF-8"}),
        (gzip.compress(b'{"model": "fine"}'), CHAT, {"content_encoding": "gzip"}),
        (form(b"fine", files=900), AUDIO, FORM),
    ],
)
def test_what_names_no_denied_model_passes(
    guarded: Ledger, provider: Provider, body: bytes, path: str, headers: dict[str, str]
) -> None:
    provider.response(*OK)
    assert ask(guarded, body, path, **headers).status_code == 200
    assert provider.counts()["received"] == 1


def test_the_refusal_of_what_cannot_be_read_says_what_to_do(guarded: Ledger) -> None:
    body = bombs.gzip(bombs.request_of_messages(64 * MB))
    response = ask(guarded, body, content_encoding="gzip", x_agentledger_session_id="unread")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "model_unknown")
    assert "grows to more than 100 times its size" in message_of(response)
    assert "send a body that is complete JSON" in message_of(response)
    call = guarded.call("unread")
    assert (call["outcome"], call["refusal"]["code"]) == ("refused", "model_unknown")
    assert call["request_sha256"] == hashlib.sha256(body).hexdigest()


def slowest_call_s(ledger: Ledger, attack: Callable[[], Any], *, at_once: int) -> float:
    """Returns how long the slowest call of another agent took while some attacked."""
    callers = [threading.Thread(target=attack) for _ in range(at_once)]
    slowest = 0.0
    with httpx.Client(base_url=ledger.url, timeout=60) as other:
        other.post(CHAT, json=CALL).raise_for_status()
        for caller in callers:
            caller.start()
        while any(caller.is_alive() for caller in callers):
            began = time.monotonic()
            other.post(CHAT, json=CALL).raise_for_status()
            slowest = max(slowest, time.monotonic() - began)
        for caller in callers:
            caller.join()
    return slowest


# A machine that runs other tests delays calls too; what is a fault takes many times longer.
STALL_S = 2.0


@encodings
def test_others_do_not_wait_while_messages_are_counted(
    guarded: Ledger, provider: Provider, encoding: str
) -> None:
    body = ENCODERS[encoding](bombs.request_of_messages(8 * MB, model=b"denied"))
    attack = partial(ask, guarded, body, content_encoding=encoding)
    assert slowest_call_s(guarded, attack, at_once=4) < STALL_S


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_others_do_not_wait_while_a_response_is_charged(
    guarded: Ledger, provider: Provider, encoding: str
) -> None:
    events = ENCODERS[encoding](bombs.stream_of_deltas(3 * MB))
    headers = [*canned.SSE_TYPE, ("content-encoding", encoding)]
    provider.response(*canned.whole(events, headers=headers), path="/bomb/")

    def stream() -> None:
        response = httpx.post(f"{guarded.url}/bomb{CHAT}", json=CALL, timeout=60)
        assert response.status_code == 200

    assert slowest_call_s(guarded, stream, at_once=4) < STALL_S


@pytest.mark.soak
@pytest.mark.parametrize("value", [b"NaN", rb'"\ud800"', b'"\xff"'])
@encodings
def test_others_do_not_wait_at_full_size(
    guarded: Ledger, provider: Provider, encoding: str, value: bytes
) -> None:
    messages = bombs.request_of_messages(64 * MB, model=b"denied")
    body = ENCODERS[encoding](itertools.chain([b'{"x":', value, b","], skip_first(messages)))
    attack = partial(ask, guarded, body, content_encoding=encoding)
    assert slowest_call_s(guarded, attack, at_once=4) < STALL_S


def skip_first(pieces: Iterator[bytes]) -> Iterator[Any]:
    """Yields an object without its opening bracket."""
    yield next(pieces)[1:]
    yield from pieces
