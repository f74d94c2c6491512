"""The live feed at /ws: calls as they begin, end and are recorded."""

from __future__ import annotations

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import canned
from tests.support.ledger import CALL, Ledger
from tests.support.live import listen, refusal
from tests.support.provider import Provider

HELD = [canned.HOLD, *canned.as_json(canned.chat("done"))]


def test_calls_come_as_they_are_recorded(stack: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat("It rains.")))
    with listen(stack) as (listener, hello):
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
        full = stack.explain(call["action_id"])
        assert {name: full[name] for name in call if name in full}.items() <= call.items()
        assert len(full.keys() & call.keys()) > 25


def test_a_running_call_is_sent_until_it_is_recorded(stack: Ledger, provider: Provider) -> None:
    provider.response(*HELD)
    with ThreadPoolExecutor(1) as pool, listen(stack, "session=slow") as (listener, _):
        response = pool.submit(stack.post, "slow", content="take your time")
        [started] = listener.wait_for("started")["started"]
        assert (started["session_id"], started["outcome"], started["model_id"]) == (
            "slow",
            "running",
            "m",
        )
        with listen(stack, "session=slow") as (_, hello):
            assert [call["action_id"] for call in hello["running"]] == [started["action_id"]]
        with listen(stack, "session=other") as (_, hello):
            assert hello["running"] == []
            assert hello["now"]["running"] == 1
        provider.release()
        assert response.result().status_code == 200
        [call] = listener.calls(1)
        assert call["action_id"] == started["action_id"]
    with listen(stack, "session=slow") as (_, hello):
        assert hello["running"] == []


def test_a_running_call_whose_agent_hangs_up_ends(ledger: Ledger, provider: Provider) -> None:
    provider.response(*HELD)
    with listen(ledger, "session=left") as (listener, _):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{ledger.url}/v1/chat/completions",
                json=CALL,
                headers={"x-agentledger-session-id": "left"},
                timeout=2,
            )
        [started] = listener.wait_for("started")["started"]
        [call] = listener.calls(1)
        assert (call["action_id"], call["outcome"]) == (started["action_id"], "client_left")


def test_a_client_that_comes_back_gets_what_it_missed(stack: Ledger, provider: Provider) -> None:
    with listen(stack, "session=gone") as (listener, _):
        stack.post("gone", content="one")
        [seen] = listener.calls(1)
    for text in ("two", "three"):
        stack.post("gone", content=text)
    stack.post("another", content="not watched")
    stack.calls("gone", count=3)
    with listen(stack, f"session=gone&since={seen['seq']}") as (listener, _):
        assert [call["preview"] for call in listener.calls(2)] == ["two", "three"]
        stack.post("gone", content="four")
        assert [call["preview"] for call in listener.calls(1)] == ["four"]


def test_a_client_that_comes_back_gets_what_was_deleted(stack: Ledger, provider: Provider) -> None:
    for session in ("shredded", "thinned", "thinned"):
        stack.post(session)
    one, _ = stack.calls("thinned", count=2)
    stack.calls("shredded")
    with listen(stack) as (_, hello):
        place = hello["place"]
    for path in ("/api/sessions/shredded", f"/api/calls/{one['action_id']}"):
        httpx.delete(stack.url + path).raise_for_status()
    with listen(stack, f"since={place}") as (listener, _):
        message = listener.wait_for("deleted")
        assert message["deleted"] == {"sessions": ["shredded"], "calls": [one["action_id"]]}
        assert message["place"] != place
    with listen(stack, f"since={message['place']}") as (listener, _):
        stack.post("thinned", content="later")
        assert "deleted" not in listener.wait_for("type")  # nothing is sent twice
    beyond = int(place.split(".")[1]) + 1000
    with listen(stack, f"since={hello['seq']}.{beyond}") as (listener, _):
        assert listener.wait_for("type")["type"] == "gap"


def test_a_client_that_is_ahead_of_the_ledger_gets_a_gap(
    ledger: Ledger, provider: Provider
) -> None:
    with listen(ledger) as (_, hello):
        beyond = hello["seq"] + 1000
    with listen(ledger, f"since={beyond}") as (listener, _):
        assert listener.wait_for("type")["type"] == "gap"


def test_calls_are_filtered_by_the_server(ledger: Ledger, provider: Provider) -> None:
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
    with listen(ledger) as (everything, hello):
        for text, headers in sent.items():
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers)
        everything.calls(2)
    for query, expected in queries.items():
        with listen(ledger, f"{query}&since={hello['seq']}") as (listener, again):
            ledger.post("f2", content="end")
            shown = [call["preview"] for call in listener.calls_until_quiet()]
            assert [text for text in shown if text != "end"] == expected, query


def test_changes_by_operators_are_sent(ledger: Ledger, provider: Provider) -> None:
    ledger.post("changed")
    call = ledger.call("changed")
    ledger.post("changed")
    ledger.calls("changed", count=2)
    with listen(ledger, "sessions=1") as (listener, hello):
        assert hello["stops"] == []
        stop = {"scope": "agent", "value": "a", "reason": "too dear"}
        made = httpx.post(f"{ledger.url}/api/stops", json=stop).json()
        [shown] = listener.wait_for("stops")["stops"]
        assert (shown["scope"], shown["value"], shown["reason"]) == ("agent", "a", "too dear")
        httpx.delete(f"{ledger.url}/api/stops/{made['id']}")
        assert listener.wait_for("stops")["stops"] == []
        httpx.patch(f"{ledger.url}/api/sessions/changed", json={"labels": ["seen"]})
        while listener.session("changed")["labels"] != ["seen"]:  # its calls may come first
            pass
        httpx.delete(f"{ledger.url}/api/calls/{call['action_id']}")
        assert listener.wait_for("deleted")["deleted"]["calls"] == [call["action_id"]]
        httpx.delete(f"{ledger.url}/api/sessions/changed")
        assert listener.wait_for("deleted")["deleted"]["sessions"] == ["changed"]


def test_totals_of_sessions_are_sent_on_request(ledger: Ledger, provider: Provider) -> None:
    with listen(ledger, "sessions=1&session=totals") as (listener, _):
        for n in (1, 2):
            ledger.post("totals")
            assert listener.session("totals")["call_count"] == n


def test_rows_come_as_the_page_shows_them(ledger: Ledger, provider: Provider) -> None:
    with listen(ledger, "rows=Asia/Tokyo&session=rows") as (listener, _):
        ledger.post("rows", content="<b>bold</b>")
        message = listener.wait_for("calls")
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
    response = refusal(ledger, query)
    assert response.status_code == 400 and name in response.json()


@pytest.mark.e2e
def test_a_client_that_reads_too_slowly_gets_a_gap(stack: Ledger, provider: Provider) -> None:
    """A call is about 10 KB in a message, as fields and as a row; the client's socket holds a few
    KB, which keeps what the server's holds small too."""
    assert stack.process is not None
    process = psutil.Process(stack.process.pid)
    url = stack.url.replace("http", "ws") + "/ws?limit=500&session=flood&rows=UTC"
    with (
        socket.socket() as narrow,
        connect(url, sock=narrow_socket(narrow, url), **SLOW) as slow,
    ):
        assert json.loads(slow.recv(30))["type"] == "hello"
        with listen(stack, "session=flood&limit=1") as (quick, _), ThreadPoolExecutor(8) as pool:
            before = process.memory_info().rss
            for batch in range(24):  # 20 MB: the system gives a socket up to 6 MB
                sent = [pool.submit(flood, stack) for _ in range(80)]
                assert [response.result().status_code for response in sent] == [200] * 80
                n_received = 0
                while n_received < 80:
                    message = quick.wait_for("calls")
                    n_received += len(message["calls"]) + message["more"]
                assert process.memory_info().rss - before < 40 * 1024 * 1024, batch
        kinds = []
        # On a busy machine this takes minutes. Daphne closes a connection whose client answers no
        # ping for 50 seconds; uvicorn is told not to.
        with contextlib.suppress(ConnectionClosed):
            while "gap" not in kinds:
                kinds.append(json.loads(slow.recv(60))["type"])
            assert set(kinds) == {"news", "gap"}, kinds
        assert "gap" in kinds or stack.server == "daphne", kinds


# Compressed, all of these messages would fit into the sockets' buffers.
SLOW: Any = {"compression": None, "max_queue": 1, "max_size": None, "ping_interval": None}


def flood(ledger: Ledger) -> httpx.Response:
    names = ("agent-name", "user-id", "app-id", "handoff-from", "handoff-to")
    headers = {f"x-agentledger-{name}": "x" * 512 for name in names}
    headers["x-agentledger-session-id"] = "flood"
    body = {**CALL, "model": "m" * 500}
    return httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def narrow_socket(made: socket.socket, url: str) -> socket.socket:
    """Connects a socket that takes in as little as the system allows."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    made.connect((urlsplit(url).hostname, urlsplit(url).port))
    return made
