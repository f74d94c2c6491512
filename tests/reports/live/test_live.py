"""The live feed at /ws: calls as they begin, end and are recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from access.request_checks import KEY_HEADER
from tests.conftest import KEY, create_database
from tests.support import canned
from tests.support.ledger import CALL, Ledger, wait_until
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

from reports.live.mailbox import GAP, MAX_WAITING, Mailbox  # noqa: E402
from reports.live.watch import Watch  # noqa: E402
from reports.queries.call_list import CallFilter  # noqa: E402

Message = dict[str, Any]


class Listener:
    """What a client of the feed has been told."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    def until(self, key: str, timeout_s: float = 30) -> Message:
        """The next message with this key, which it is rid of then."""
        end = time.monotonic() + timeout_s
        while True:
            for message in self.messages:
                if key in message:
                    self.messages.remove(message)
                    return message
            self.messages.append(json.loads(self.socket.recv(end - time.monotonic())))

    def session(self, session_id: str) -> Message:
        """The totals of this session that are told next."""
        while True:
            for session in self.until("sessions")["sessions"]:
                if session["session_id"] == session_id:
                    told: Message = session
                    return told

    def messages_until_quiet(self) -> list[Message]:
        """The calls that have been told of when the figures next change, or nothing comes."""
        try:
            while True:
                self.messages.append(json.loads(self.socket.recv(1.2)))
        except TimeoutError:
            return [call for message in self.messages for call in message.get("calls", ())]

    def calls(self, count: int) -> list[Message]:
        """The next recorded calls, once there are so many."""
        found: list[Message] = []
        while len(found) < count:
            found += self.until("calls")["calls"]
        return found


@contextmanager
def listening(
    ledger: Ledger, query: str = "", headers: dict[str, str] | None = None
) -> Iterator[tuple[Listener, Message]]:
    url = ledger.url.replace("http", "ws") + f"/ws?{query}"
    with connect(url, additional_headers=headers or {}, max_size=None) as socket:
        listener = Listener(socket)
        hello = json.loads(socket.recv(30))
        assert hello["type"] == "hello"
        yield listener, hello


def refused(ledger: Ledger, query: str = "", **headers: str) -> httpx.Response:
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(f"{ledger.url.replace('http', 'ws')}/ws?{query}", additional_headers=headers),
    ):
        pass
    response = caught.value.response
    return httpx.Response(response.status_code, content=bytes(response.body or b""))


def test_calls_come_as_they_are_recorded(stack: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat("It rains.")))
    with listening(stack) as (listener, hello):
        stack.post("run-1", content="How is the weather?")
        [call] = listener.calls(1)
        assert call["seq"] > hello["seq"]
        assert (call["session_id"], call["outcome"], call["model_id"]) == (
            "run-1",
            "completed",
            "m",
        )
        assert call["preview"] == "How is the weather?"
        assert "messages" not in call and "content" not in call
        told = stack.explain(call["action_id"])
        assert {name: told[name] for name in call if name in told}.items() <= call.items()
        assert len(told.keys() & call.keys()) > 25


WATCH = Watch(CallFilter(), 50, with_sessions=False, zone=None)
HELD = [canned.HOLD, *canned.as_json(canned.chat("done"))]


def test_a_running_call_is_told_and_ends(stack: Ledger, provider: Provider) -> None:
    provider.response(*HELD)
    with ThreadPoolExecutor(1) as pool, listening(stack, "session=slow") as (listener, _):
        response = pool.submit(stack.post, "slow", content="take your time")
        [begun] = listener.until("started")["started"]
        assert (begun["session_id"], begun["outcome"], begun["model_id"]) == (
            "slow",
            "running",
            "m",
        )
        with listening(stack, "session=slow") as (_, hello):
            assert [call["action_id"] for call in hello["running"]] == [begun["action_id"]]
        with listening(stack, "session=other") as (_, hello):
            assert hello["running"] == []
            assert hello["now"]["running"] == 1
        provider.release()
        assert response.result().status_code == 200
        [call] = listener.calls(1)
        assert call["action_id"] == begun["action_id"]
    with listening(stack, "session=slow") as (_, hello):
        assert hello["running"] == []


def test_a_running_call_that_its_agent_leaves_ends(ledger: Ledger, provider: Provider) -> None:
    provider.response(*HELD)
    with listening(ledger, "session=left") as (listener, _):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{ledger.url}/v1/chat/completions",
                json=CALL,
                headers={"x-agentledger-session-id": "left"},
                timeout=2,
            )
        [begun] = listener.until("started")["started"]
        [call] = listener.calls(1)
        assert (call["action_id"], call["outcome"]) == (begun["action_id"], "client_left")


def test_who_comes_back_gets_what_he_missed_first(stack: Ledger, provider: Provider) -> None:
    with listening(stack, "session=gone") as (listener, _):
        stack.post("gone", content="one")
        [seen] = listener.calls(1)
    for text in ("two", "three"):
        stack.post("gone", content=text)
    stack.post("another", content="not his")
    stack.calls("gone", count=3)
    with listening(stack, f"session=gone&since={seen['seq']}") as (listener, _):
        assert [call["preview"] for call in listener.calls(2)] == ["two", "three"]
        stack.post("gone", content="four")
        assert [call["preview"] for call in listener.calls(1)] == ["four"]


def test_who_comes_back_is_told_what_was_deleted(stack: Ledger, provider: Provider) -> None:
    for session in ("shredded", "thinned", "thinned"):
        stack.post(session)
    one, _ = stack.calls("thinned", count=2)
    stack.calls("shredded")
    with listening(stack) as (_, hello):
        place = hello["place"]
    for path in ("/api/sessions/shredded", f"/api/calls/{one['action_id']}"):
        httpx.delete(stack.url + path).raise_for_status()
    with listening(stack, f"since={place}") as (listener, _):
        told = listener.until("deleted")
        assert told["deleted"] == {"sessions": ["shredded"], "calls": [one["action_id"]]}
        assert told["place"] != place
    with listening(stack, f"since={told['place']}") as (listener, _):
        stack.post("thinned", content="later")
        assert "deleted" not in listener.until("type")  # nothing is told twice
    beyond = int(place.split(".")[1]) + 1000
    with listening(stack, f"since={hello['seq']}.{beyond}") as (listener, _):
        assert listener.until("type")["type"] == "gap"


def test_who_missed_too_much_is_told_of_a_gap(ledger: Ledger, provider: Provider) -> None:
    with listening(ledger) as (_, hello):
        beyond = hello["seq"] + 1000
    with listening(ledger, f"since={beyond}") as (listener, _):
        assert listener.until("type")["type"] == "gap"


def test_filters_are_the_servers(ledger: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json({"error": {"message": "no"}}, status=400), path="", times=1)
    queries = {
        "agent=writer": ["w"],
        "agent=writer&session=f2": [],
        "status=error": ["e"],
        "status=ok&user=u1": ["w"],
        "environment=production": ["w"],
        "model=other": [],
        "min_cost=1": [],
        "budget=ok": ["e", "w"],
    }
    sent = {
        "e": {"x-agentledger-session-id": "f1"},
        "w": {
            "x-agentledger-session-id": "f1",
            "x-agentledger-agent-name": "writer",
            "x-agentledger-user-id": "u1",
            "x-agentledger-environment": "production",
        },
    }
    with listening(ledger) as (everything, hello):
        for text, headers in sent.items():
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers)
        everything.calls(2)
    for query, expected in queries.items():
        with listening(ledger, f"{query}&since={hello['seq']}") as (listener, again):
            ledger.post("f2", content="end")
            shown = [call["preview"] for call in listener.messages_until_quiet()]
            assert [text for text in shown if text != "end"] == expected, query


def test_what_operators_change_is_told(ledger: Ledger, provider: Provider) -> None:
    ledger.post("changed")
    call = ledger.call("changed")
    ledger.post("changed")
    ledger.calls("changed", count=2)
    with listening(ledger, "sessions=1") as (listener, hello):
        assert hello["stops"] == []
        stop = {"scope": "agent", "value": "a", "reason": "too dear"}
        made = httpx.post(f"{ledger.url}/api/stops", json=stop).json()
        [told] = listener.until("stops")["stops"]
        assert (told["scope"], told["value"], told["reason"]) == ("agent", "a", "too dear")
        httpx.delete(f"{ledger.url}/api/stops/{made['id']}")
        assert listener.until("stops")["stops"] == []
        httpx.patch(f"{ledger.url}/api/sessions/changed", json={"labels": ["seen"]})
        while listener.session("changed")["labels"] != ["seen"]:  # its calls may be told first
            pass
        httpx.delete(f"{ledger.url}/api/calls/{call['action_id']}")
        assert listener.until("deleted")["deleted"]["calls"] == [call["action_id"]]
        httpx.delete(f"{ledger.url}/api/sessions/changed")
        assert listener.until("deleted")["deleted"]["sessions"] == ["changed"]


def test_totals_of_sessions_are_told_to_who_asks(ledger: Ledger, provider: Provider) -> None:
    with listening(ledger, "sessions=1&session=totals") as (listener, _):
        for n in (1, 2):
            ledger.post("totals")
            assert listener.session("totals")["call_count"] == n


def test_rows_come_as_the_page_shows_them(ledger: Ledger, provider: Provider) -> None:
    with listening(ledger, "rows=Asia/Tokyo&session=rows") as (listener, _):
        ledger.post("rows", content="<b>bold</b>")
        message = listener.until("calls")
        [row], [call] = message["rows"], message["calls"]
        assert row.startswith("<tr") and f'data-call="{call["action_id"]}"' in row
        assert "UTC+09:00" in row and "<b>bold" not in row
        page = ledger.get("/", headers={"accept": "text/html", "cookie": "tz=Asia/Tokyo"}).text
        assert row.strip() in page


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("colour=red", "colour"),
        ("limit=0", "limit"),
        ("status=late", "status"),
        ("since=x", "since"),
    ],
)
def test_a_bad_query_is_refused_by_name(ledger: Ledger, query: str, name: str) -> None:
    response = refused(ledger, query)
    assert response.status_code == 400 and name in response.json()


def test_a_reader_that_is_too_slow_is_told_of_a_gap(stack: Ledger, provider: Provider) -> None:
    """Each message is about 250 KB; what the sockets' buffers hold is far less than all of them."""
    assert stack.process is not None
    process = psutil.Process(stack.process.pid)
    url = stack.url.replace("http", "ws") + "/ws?limit=500&session=flood"
    with connect(url, max_queue=1, max_size=None, ping_interval=None) as slow:
        assert json.loads(slow.recv(30))["type"] == "hello"
        with listening(stack, "session=flood&limit=1") as (quick, _), ThreadPoolExecutor(8) as pool:
            before = process.memory_info().rss
            for batch in range(6):
                sent = pool.map(
                    lambda n: stack.post("flood", content=f"{n} {'x' * 190}"), range(80)
                )
                assert all(response.status_code == 200 for response in sent)
                told = 0
                while told < 80:
                    message = quick.until("calls")
                    told += len(message["calls"]) + message["more"]
                assert process.memory_info().rss - before < 40 * 1024 * 1024, batch
        kinds = []
        # uvicorn gives up on who reads nothing, not even its pings, for 40 seconds.
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            kinds.append(json.loads(slow.recv(10))["type"])
            while True:
                kinds.append(json.loads(slow.recv(1))["type"])
        assert set(kinds) <= {"news", "gap"}


def test_what_waits_for_a_slow_reader_is_bounded() -> None:
    mailbox = Mailbox(WATCH)
    for n in range(MAX_WAITING):
        mailbox.put(str(n))
    mailbox.put("one too many")

    async def told() -> list[str]:
        first = await mailbox.take()
        mailbox.put("news")
        return [first, await mailbox.take()]

    assert asyncio.run(told()) == [GAP, "news"]


# --- who may listen ---


def test_it_takes_what_pages_take(keyed: Ledger, provider: Provider) -> None:
    wait_until(lambda: keyed.get("/api/stops", headers={KEY_HEADER: KEY}).status_code == 200)
    assert refused(keyed).status_code == 401
    assert refused(keyed, **{KEY_HEADER: "wrong"}).status_code == 401
    viewer = keyed.command("token", "create", "listener", "--role", "viewer").stdout.strip()
    ingest = keyed.command("token", "create", "sender", "--role", "ingest").stdout.strip()
    assert refused(keyed, **{KEY_HEADER: ingest}).status_code == 403
    signed_in = httpx.post(f"{keyed.url}/dashboard/sign-in", data={"api_key": viewer})
    cookie = f"agentledger={signed_in.cookies['agentledger']}"
    for query, headers in (
        ("", {KEY_HEADER: KEY}),
        (f"api_key={KEY}", {}),
        ("", {KEY_HEADER: viewer}),
        ("", {"cookie": cookie, "origin": keyed.url}),
    ):
        with listening(keyed, query, headers) as (_, hello):
            assert hello["seq"] >= 0
    elsewhere = {"cookie": cookie, "origin": "http://evil.example"}
    assert refused(keyed, **elsewhere).status_code == 403


def test_without_a_key_only_this_machine_and_no_foreign_page(ledger: Ledger) -> None:
    with listening(ledger, headers={"origin": ledger.url}):
        pass
    assert refused(ledger, origin="http://evil.example").status_code == 403
    assert refused(ledger, **{"x-forwarded-for": "203.0.113.9"}).status_code == 403


# --- several processes ---


def test_what_runs_in_another_process_is_shown(
    provider: Provider, postgresql: str, tmp_path: Path
) -> None:
    env = {"AGENTLEDGER_DSN": create_database(postgresql)}
    with RedisServer() as redis_server:
        env["AGENTLEDGER_REDIS_URL"] = redis_server.url
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        one, two = (Ledger(folder, provider.url, env=env) for folder in folders)
        with one, two, listening(one) as (listener, _), ThreadPoolExecutor(1) as pool:
            provider.response(*HELD)
            response = pool.submit(two.post, "elsewhere")
            [begun] = listener.until("started")["started"]
            assert begun["session_id"] == "elsewhere"
            provider.release()
            assert response.result().status_code == 200
            [call] = listener.calls(1)
            assert call["action_id"] == begun["action_id"]
            with listening(one) as (_, hello):
                assert hello["running"] == []
