"""DELETE of sessions and calls: nothing shows them from then on, nothing is left of their texts,
and they never come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.capture.ledger.test_binaries import PNG, b64
from tests.conftest import running_on
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

PREFIX = "x-agentledger-"


@pytest.fixture(scope="module", params=["daphne-sqlite", "daphne-postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger over each database, one for all tests of this module."""
    with running_on(request.param, request) as ledger:
        yield ledger


@pytest.fixture
def started(shared: Ledger, provider: Provider) -> Ledger:
    """It, without calls: what tests before have left is deleted."""
    for session in shared.sessions():
        assert delete(shared, f"/api/sessions/{session['session_id']}") == 204
    wait_until_removed(shared)
    for (action_id,) in rows(shared, "SELECT action_id FROM capture_call"):
        assert delete(shared, f"/api/calls/{action_id}") == 204
    wait_until_removed(shared)
    assert [count(shared, table) for table in OF_CALLS] == [0] * len(OF_CALLS)
    return shared


@pytest.fixture
def n_tombstones(started: Ledger) -> Callable[[], int]:
    """How many tombstones there are that were not there before."""
    before = count(started, "tombstone")
    return lambda: count(started, "tombstone") - before


def send(ledger: Ledger, session: str | None, messages: list[Any], **fields: str) -> str:
    headers = {PREFIX + name.replace("_", "-"): value for name, value in fields.items()}
    if session is not None:
        headers[PREFIX + "session-id"] = session
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "m", "messages": messages},
        headers=headers,
        timeout=30,
    )
    action_id: str = response.headers["x-agentledger-action-id"]
    return action_id


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def delete(ledger: Ledger, path: str) -> int:
    return httpx.delete(ledger.url + path, timeout=30).status_code


def rows(ledger: Ledger, query: str) -> list[tuple[Any, ...]]:
    dsn = ledger.env.get("AGENTLEDGER_DSN")
    if dsn:
        with psycopg.connect(dsn) as server:
            return server.execute(query).fetchall()
    with closing(sqlite3.connect(ledger.folder / "agentledger.db")) as file:
        return file.execute(query).fetchall()


def count(ledger: Ledger, table: str, where: str = "1=1") -> int:
    [(n,)] = rows(ledger, f"SELECT count(*) FROM capture_{table} WHERE {where}")
    return int(n)


def wait_until_removed(ledger: Ledger) -> None:
    wait_until(lambda: not count(ledger, "session", "deleted_at IS NOT NULL"))
    wait_until(lambda: not count(ledger, "call", "deleted_at IS NOT NULL"))


OF_CALLS = ("call", "callbody", "message", "toolcall", "binary", "session", "sessionvalue")


def test_a_deleted_session_is_gone_at_once_and_removed(
    started: Ledger, n_tombstones: Callable[[], int]
) -> None:
    action_ids = [send(started, "s", [user(f"hello {n}")], agent_name="a") for n in range(3)]
    send(started, "other", [user("hello 0")])
    wait_until(lambda: started.n_recorded() == 4)
    assert delete(started, "/api/sessions/s") == 204
    assert started.get("/session/s").status_code == 404
    assert started.get("/api/sessions/s").status_code == 404
    assert started.get(f"/explain/{action_ids[0]}").status_code == 404
    assert [s["session_id"] for s in started.sessions()] == ["other"]
    assert started.get("/api/sessions?agent_name=a").json() == []
    assert delete(started, "/api/sessions/s") == 404
    assert delete(started, f"/api/calls/{action_ids[0]}") == 404
    wait_until_removed(started)
    assert [count(started, table) for table in OF_CALLS] == [1, 1, 1, 0, 0, 1, 2]
    assert n_tombstones() == 3
    assert started.calls("other")


def test_only_what_exists_can_be_deleted(started: Ledger) -> None:
    for path in ("sessions/nothing", "sessions/%00", "calls/x", f"calls/{uuid4()}", "calls/%00"):
        response = httpx.delete(f"{started.url}/api/{path}")
        assert (response.status_code, list(response.json())) == (404, ["detail"])


def test_a_tombstone_shows_which_call_it_was(started: Ledger) -> None:
    call = started.explain(send(started, "s", [user("hello")]))
    delete(started, "/api/sessions/s")
    wait_until_removed(started)
    [(seq, digest)] = rows(
        started, f"SELECT seq, digest FROM capture_tombstone WHERE seq = {call['seq']}"
    )
    lines = (call["action_id"], call["request_sha256"], call["response_sha256"])
    assert (seq, digest) == (call["seq"], sha256("\n".join(lines).encode()).hexdigest())


def test_calls_after_a_deletion_make_a_new_session(started: Ledger) -> None:
    send(started, "s", [user("same words")])
    started.call("s")
    delete(started, "/api/sessions/s")
    send(started, "s", [user("same words")])
    assert started.call("s")["messages"] == [user("same words")]
    wait_until_removed(started)
    assert started.call("s")["messages"] == [user("same words")]
    [session] = started.sessions()
    assert session["call_count"] == 1
    assert delete(started, "/api/sessions/s") == 204


def test_a_call_that_was_running_never_comes_back(
    started: Ledger, n_tombstones: Callable[[], int], provider: Provider
) -> None:
    send(started, "s", [user("before")])
    started.call("s")
    provider.response(["sleep", 1.5], *canned.as_json(canned.chat("late")))
    with ThreadPoolExecutor() as pool:
        response = pool.submit(started.post, "s", content="running")
        wait_until(lambda: len(provider.requests()) == 2)
        assert delete(started, "/api/sessions/s") == 204
    assert response.result().json()["choices"][0]["message"]["content"] == "late"
    wait_until(lambda: n_tombstones() == 2)
    action_id = response.result().headers["x-agentledger-action-id"]
    assert started.get("/session/s").status_code == 404
    assert started.get(f"/explain/{action_id}").status_code == 404
    assert count(started, "call") == 0
    provider.reset()
    send(started, "s", [user("after")])
    assert started.call("s")["messages"] == [user("after")]


def test_a_deleted_call_no_longer_counts_in_its_sessions_totals(
    started: Ledger, n_tombstones: Callable[[], int], provider: Provider
) -> None:
    first = send(started, "s", [user("1")], agent_name="one", user_id="u")
    provider.response(*canned.as_json({"error": {"message": "no"}}, 400), times=1)
    second = send(started, "s", [user("2")], agent_name="two", user_id="u")
    started.calls("s", count=2)
    before = started.get("/api/sessions/s").json()
    tag = started.get("/session/s").headers["etag"]
    assert (before["error_count"], before["agents"]) == (1, ["one", "two"])
    assert delete(started, f"/api/calls/{second}") == 204
    [left] = started.calls("s")
    assert left["action_id"] == first
    assert started.get("/session/s", headers={"if-none-match": tag}).status_code == 200
    session = started.get("/api/sessions/s").json()
    expected = {
        "call_count": 1,
        "error_count": 0,
        "total_tokens_in": left["tokens_in"],
        "total_cost_usd": left["cost_usd"],
        "agents": ["one"],
        "users": ["u"],
        "last_call_at": left["timestamp"],
    }
    assert {name: session[name] for name in expected} == expected
    assert started.get("/api/sessions?agent_name=two").json() == []
    assert started.get("/api/sessions?q=two").json() == []
    assert delete(started, f"/api/calls/{first}") == 204
    assert started.sessions() == []
    wait_until_removed(started)
    assert [count(started, table) for table in OF_CALLS] == [0] * len(OF_CALLS)
    assert n_tombstones() == 2
    send(started, "s", [user("3")])
    assert started.call("s")["messages"] == [user("3")]


def test_messages_that_other_calls_sent_too_stay(started: Ledger) -> None:
    history = [user("one"), user("two"), user("three")]
    action_ids = [send(started, "s", history[: n + 1]) for n in range(3)]
    calls = started.calls("s", count=3)
    assert delete(started, f"/api/calls/{action_ids[1]}") == 204
    wait_until_removed(started)
    assert started.calls("s", count=2) == [calls[0], calls[2]]
    assert delete(started, f"/api/calls/{action_ids[2]}") == 204
    wait_until_removed(started)
    assert count(started, "message") == 1
    # The recorder has not forgotten that it must store them again.
    send(started, "s", history)
    assert started.calls("s", count=2)[1]["messages"] == history


def test_calls_without_a_session_are_deleted_by_id(started: Ledger) -> None:
    kept = send(started, None, [user("same"), user("kept")])
    gone = send(started, None, [user("same"), user("gone")])
    for action_id in (kept, gone):
        started.explain(action_id)
    assert delete(started, f"/api/calls/{gone}") == 204
    assert started.get(f"/explain/{gone}").status_code == 404
    wait_until_removed(started)
    assert started.explain(kept)["messages"] == [user("same"), user("kept")]
    assert count(started, "message") == 2


def test_a_tool_result_is_removed_with_the_call_that_brought_it(
    started: Ledger, provider: Provider
) -> None:
    tool_call = {"id": "t1", "function": {"name": "f", "arguments": "{}"}}
    provider.response(*canned.as_json(canned.chat("x", tool_calls=[tool_call])), times=1)
    send(started, "s", [user("go")])
    brings = send(started, "s", [{"role": "tool", "tool_call_id": "t1", "content": "SECRET42"}])
    [first, _] = started.calls("s", count=2)
    assert first["tool_results"][0]["content"] == "SECRET42"
    assert delete(started, f"/api/calls/{brings}") == 204
    assert started.call("s")["tool_results"] == []


def test_binaries_are_removed_with_the_last_call_that_refers_to_them(started: Ledger) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}}
    messages = [{"role": "user", "content": [image]}]
    first = send(started, "s", messages)
    second = send(started, "s", [*messages, user("and?")])
    calls = started.calls("s", count=2)
    assert delete(started, f"/api/calls/{first}") == 204
    wait_until_removed(started)
    assert started.call("s") == calls[1]
    assert len(calls[1]["binaries"]) == 1
    assert delete(started, f"/api/calls/{second}") == 204
    wait_until_removed(started)
    assert count(started, "binary") == 0


# --- nothing comes back, nothing is left ---


def test_deleted_calls_stay_deleted_when_a_spool_is_read_again(started: Ledger) -> None:
    """A spool that was copied while the calls were in it, as a crash leaves it."""
    kept = send(started, "kept", [user("kept")])
    deleted = send(started, "kept", [user("deleted")])
    send(started, "s", [user("of s")])
    wait_until(lambda: started.n_recorded() == 3)
    copies = {path.name: path.read_bytes() for path in started.spool.glob("*.spool")}
    delete(started, "/api/sessions/s")
    delete(started, f"/api/calls/{deleted}")
    wait_until_removed(started)
    started.kill()
    wait_until(lambda: not list(started.spool.glob("*.spool")))
    for name, data in copies.items():
        (started.spool / name).write_bytes(data)
    started.start()
    send(started, "new", [user("new")])
    started.call("new")
    assert started.call("kept")["action_id"] == kept
    assert started.get("/session/s").status_code == 404
    assert count(started, "call") == 2


def test_a_session_deleted_while_its_calls_wait_in_the_spool(
    started: Ledger, n_tombstones: Callable[[], int]
) -> None:
    send(started, "s", [user("recorded")])
    started.call("s")
    recorder = started.recorder()
    recorder.suspend()
    waiting = send(started, "s", [user("waits in the spool")])
    assert delete(started, "/api/sessions/s") == 204
    started.kill()
    recorder.resume()
    started.start()
    wait_until(lambda: n_tombstones() == 2)
    assert started.get(f"/explain/{waiting}").status_code == 404
    assert started.sessions() == []


def test_removal_goes_on_after_the_recorder_was_killed(
    started: Ledger, n_tombstones: Callable[[], int]
) -> None:
    for number in range(250):
        send(started, "s", [user(f"{number} {'x' * 500}")])
    wait_until(lambda: started.n_recorded() == 250)
    recorder = started.recorder()
    recorder.suspend()
    assert delete(started, "/api/sessions/s") == 204
    recorder.kill()
    wait_until_removed(started)
    assert n_tombstones() == 250
    assert [count(started, table) for table in OF_CALLS] == [0] * len(OF_CALLS)


def test_nothing_of_the_text_is_left_in_the_files(fresh: Ledger, provider: Provider) -> None:
    """Texts that SQLite keeps within a row, and some that take pages of their own; compressed ones
    cannot be looked for, so these are random."""
    random = Random(1)
    long = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLM", k=9000))
    texts = ["short secret of a message", long, "secret of an agent", "secret session"]
    provider.response(*canned.as_json(canned.chat("an answer")))
    with fresh:
        for number in range(3):
            send(fresh, texts[3], [user(texts[0]), user(f"{number}")], agent_name=texts[2])
        send(fresh, texts[3], [user(long)])
        send(fresh, "kept", [user("this stays")])
        wait_until(lambda: fresh.n_recorded() == 5)
        assert texts[0].encode() in files(fresh)
        assert httpx.delete(f"{fresh.url}/api/sessions/{texts[3]}").status_code == 204
        wait_until_removed(fresh)
        # Its id stays in the audit log, the agent's name with what it has cost.
        wait_until(lambda: texts[0].encode() not in files(fresh))
    left = files(fresh)
    assert b"this stays" in left
    assert texts[0].encode() not in left
    assert not any(long[start : start + 40].encode() in left for start in range(0, 9000, 40))


def files(ledger: Ledger) -> bytes:
    return b"".join(path.read_bytes() for path in ledger.folder.glob("agentledger.db*"))


def test_many_calls_are_gone_at_once(fresh: Ledger, provider: Provider) -> None:
    """However many there are, a deletion is one mark."""
    with fresh:
        with httpx.Client(base_url=fresh.url) as agent:
            for number in range(600):
                body = {"model": "m", "messages": [user(f"{number}")]}
                agent.post("/v1/chat/completions", json=body, headers={PREFIX + "session-id": "s"})
        wait_until(lambda: fresh.n_recorded() == 600)
        fresh.recorder().suspend()
        assert delete(fresh, "/api/sessions/s") == 204
        assert count(fresh, "call") == 600
        assert fresh.sessions() == []
        assert fresh.get("/session/s").status_code == 404
        fresh.recorder().resume()
        wait_until_removed(fresh)
        assert count(fresh, "tombstone") == 600
