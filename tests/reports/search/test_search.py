"""Search: calls by their texts, filters, pages, the index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import STACKS, running_on
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider


@pytest.fixture(scope="module", params=[*STACKS, "daphne-pg_trgm"])
def stack(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """The stacks, and one whose PostgreSQL has the extension that makes searches fast."""
    with running_on(request.param, request) as ledger:
        yield ledger


def search(ledger: Ledger, q: str, **filters: Any) -> list[dict[str, Any]]:
    response = ledger.get("/api/search", params={"q": q, **filters})
    assert response.status_code == 200, response.text
    assert response.headers["x-complete"] == "true"
    hits: list[dict[str, Any]] = response.json()
    return hits


def say(ledger: Ledger, text: str, session: str | None = None, **fields: str) -> str:
    """One call; its action_id once it is recorded."""
    names = {**({"session_id": session} if session else {}), **fields}
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": text}]},
        headers={f"x-agentledger-{k.replace('_', '-')}": v for k, v in names.items()},
        timeout=30,
    )
    action_id = response.headers["x-agentledger-action-id"]
    ledger.explain(action_id)
    return action_id


def indexed(ledger: Ledger) -> None:
    """Waits until the index holds all calls that are recorded."""

    def caught_up() -> bool:
        sinks = ledger.get("/readyz").json()["sinks"]
        return bool(sinks) and sinks[0]["seq"] > 0 and sinks[0]["behind"] == 0

    ledger.get("/readyz")
    wait_until(caught_up)


# --- what is found ---


def test_every_text_of_a_call_is_found_with_its_field(stack: Ledger, provider: Provider) -> None:
    tool_call = {
        "id": "call_zebra1",
        "type": "function",
        "function": {"name": "look_up_quokka", "arguments": '{"city": "M\\u00fcnchen"}'},
    }
    fields: dict[str, Any] = {"tool_calls": [tool_call], "reasoning_content": "pondering wombats"}
    provider.response(*canned.as_json(canned.chat("an answer of capybaras", **fields)), times=1)
    response = httpx.post(
        f"{stack.url}/v1/chat/completions",
        json={
            "model": "model-ocelot",
            "messages": [
                {"role": "system", "content": "a prompt of the axolotl"},
                {"role": "user", "content": 'The "narwhal" said:\nhello   there \u00e4\\n'},
            ],
        },
        headers={
            "x-agentledger-session-id": "session-pangolin",
            "x-agentledger-agent-name": "agent-meerkat",
            "x-agentledger-user-id": "user-lemur",
            "x-agentledger-app-id": "app-tapir",
        },
    )
    action_id = response.headers["x-agentledger-action-id"]
    stack.explain(action_id)
    expected = {
        "narwhal": "messages",
        '"said: hello there Ä\\n"': "messages",
        "axolotl": "system_prompt",
        "capybaras": "content",
        "WOMBATS": "reasoning",
        "quokka": "tool_calls",
        "münchen": "tool_calls",
        "zebra1": "tool_calls",
        "ocelot": "model_id",
        "pangolin": "session_id",
        "meerkat": "agent_name",
        "lemur": "user_id",
        "tapir": "app_id",
        action_id: "action_id",
        action_id[5:30]: "action_id",
    }
    for _ in range(2):  # before the index has it, and after
        for q, field in expected.items():
            [hit] = search(stack, q)
            assert (q, hit["action_id"], hit["field"]) == (q, action_id, field)
        indexed(stack)
    assert hit.keys() == {
        *("action_id", "session_id", "timestamp", "agent_name", "model_id", "status_code"),
        *("cost_usd", "field", "snippet"),
    }
    assert hit["session_id"] == "session-pangolin"
    assert hit["agent_name"] == "agent-meerkat"


RESULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a message of its own": (
        "/v1/chat/completions",
        {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "sunny in Lisbon"}]},
    ),
    "a block of a message": (
        "/v1/messages",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "sunny in Lisbon"},
                        {"type": "text", "text": "and what of Porto?"},
                    ],
                }
            ]
        },
    ),
    "an item": (
        "/v1/responses",
        {"input": [{"type": "function_call_output", "call_id": "c1", "output": "sunny in Lisbon"}]},
    ),
}


@pytest.mark.parametrize("form", RESULTS)
def test_a_scope_says_where_the_words_must_be(stack: Ledger, provider: Provider, form: str) -> None:
    path, body = RESULTS[form]
    provider.response(*canned.as_json({}), times=1)
    agent = f"scoped {form}"
    response = httpx.post(
        f"{stack.url}{path}",
        json={"model": "m", **body},
        headers={"x-agentledger-agent-name": agent},
    )
    action_id = response.headers["x-agentledger-action-id"]
    stack.explain(action_id)
    for _ in range(2):  # before the index has it, and after
        [hit] = search(stack, "lisbon", scope="tool", agent_name=agent)
        assert (hit["action_id"], hit["field"]) == (action_id, "tool_results")
        assert search(stack, "lisbon", scope="prompt,response,user", agent_name=agent) == []
        assert search(stack, "lisbon scoped", scope="tool", agent_name=agent) == []
        assert len(search(stack, "lisbon scoped", scope="tool,agent", agent_name=agent)) == 1
        n_prompts = 1 if form == "a block of a message" else 0
        assert len(search(stack, "porto", scope="prompt", agent_name=agent)) == n_prompts
        indexed(stack)


def test_an_unknown_scope_is_refused(stack: Ledger) -> None:
    response = stack.get("/api/search", params={"q": "x", "scope": "tool,body"})
    assert response.status_code == 400
    assert "'body' not known; known: prompt, response" in response.json()["scope"][0]


def test_errors_are_found_and_calls_that_cannot_be_parsed(
    stack: Ledger, provider: Provider
) -> None:
    error = {"error": {"message": "failed to connect to the flux capacitor"}}
    provider.response(*canned.as_json(error, 503), times=1)
    action_id = say(stack, "x")
    indexed(stack)
    response = stack.get("/api/search?q=failed+to+connect+capacitor")
    assert [(hit["action_id"], hit["field"]) for hit in response.json()] == [
        (action_id, "error_detail")
    ]


def test_a_message_of_a_growing_history_belongs_to_the_call_that_sent_it_first(
    stack: Ledger,
) -> None:
    messages: list[dict[str, str]] = []
    ids = []
    for text in ("first gnu", "second ibex", "third okapi"):
        messages.append({"role": "user", "content": text})
        response = httpx.post(
            f"{stack.url}/v1/chat/completions",
            json={"model": "m", "messages": messages},
            headers={"x-agentledger-session-id": "history"},
        )
        ids.append(response.headers["x-agentledger-action-id"])
        stack.explain(ids[-1])
    for _ in range(2):
        assert [hit["action_id"] for hit in search(stack, "gnu")] == [ids[0]]
        assert [hit["action_id"] for hit in search(stack, "okapi")] == [ids[2]]
        assert search(stack, "gnu okapi") == []
        indexed(stack)


def test_the_words_of_a_query(stack: Ledger) -> None:
    action_id = say(stack, "The quick brown fox\njumps over 100% of_the dogs", agent_name="Reynard")
    say(stack, "brown and quick, 1000 of the dogs")
    for _ in range(2):
        for q in (
            "quick fox",
            "FOX quick",
            "fox reynard",  # each word in a field of its own
            '"quick brown fox jumps"',
            '"quick brown fox ju',  # being typed
            'fox "over 100%"',
            "100% fox",
            "of_the fox",
            "x j fox",
        ):
            assert [hit["action_id"] for hit in search(stack, q)] == [action_id], q
        for q in ('"brown quick" fox', "quick fox cat", "o_er fox", "1%0 fox", "(quick) fox"):
            assert search(stack, q) == [], q
        indexed(stack)


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("das Ärgernis in KÖLN", ["ärgernis", "köln", "ÄRGER"]),
        ("Ошибка СОЕДИНЕНИЯ", ["ошибка", "соединения", "ОШИБ"]),
        ("ΟΔΟΣ και οδός", ["οδος", "ΟΔΟΣ", "ΟΔΌΣ"]),
        ("连接数据库失败", ["数据库", "连接", "败", "数据库失败"]),
        ("データベースに接続できません", ["データベース", "接続", "でき"]),
        ("데이터베이스 연결 실패", ["데이터", "실패"]),
        ("قاعدة البيانات", ["قاعدة", "البيانات"]),
        ("İstanbul", ["istanbul", "İSTANBUL"]),
        ("cafe\u0301 \U0001f600 smile", ["café", "CAFÉ", "\U0001f600"]),
    ],
)
def test_any_script_in_any_case(stack: Ledger, text: str, queries: list[str]) -> None:
    action_id = say(stack, text)
    for _ in range(2):
        for q in queries:
            assert action_id in [hit["action_id"] for hit in search(stack, q)], q
        indexed(stack)


def test_snippets_are_escaped_and_marked(stack: Ledger) -> None:
    say(stack, "x" * 300 + ' <script>alert("Aardvark & aardvark")</script> ' + "y" * 300)
    [hit] = search(stack, "aardvark")
    assert (
        "&lt;script&gt;alert(&quot;<mark>Aardvark</mark> &amp; <mark>aardvark</mark>"
        in (hit["snippet"])
    )
    assert hit["snippet"].startswith("…xxx") and hit["snippet"].endswith("yyy…")
    assert len(hit["snippet"]) < 400


def test_long_texts_are_found_whole(stack: Ledger) -> None:
    """Longer than one transaction of the index can take."""
    words = "".join(f"word{n} " for n in range(60_000))
    action_id = say(stack, f"leviathan begins {words} leviathan ends")
    for q in ('"leviathan begins"', '"leviathan ends"', "word1 word59999", '"word30000 word30001"'):
        for _ in range(2):
            assert [hit["action_id"] for hit in search(stack, q)] == [action_id], q
            indexed(stack)
    assert search(stack, "leviathan word60001") == []


# --- filters and pages ---


def test_filters(stack: Ledger, provider: Provider) -> None:
    one = say(stack, "filtered", "f-1", agent_name="a", user_id="u", app_id="p", environment="e")
    provider.response(*canned.as_json({"error": {"message": "no"}}, 500), times=1)
    two = say(stack, "filtered", "f-2", agent_name="b")
    made = stack.explain(two)["timestamp"]
    for _ in range(2):
        found = [hit["action_id"] for hit in search(stack, "filtered")]
        assert found == [two, one]  # the newest first
        for name, value in (
            ("agent_name", "a"),
            ("user_id", "u"),
            ("app_id", "p"),
            ("environment", "e"),
            ("session_id", "f-1"),
            ("status", "ok"),
            ("until", made),
            ("min_cost", "0.000001"),
        ):
            assert [h["action_id"] for h in search(stack, "filtered", **{name: value})] == [one]
        for name, value in (("status", "error"), ("since", made), ("session_id", "f-2")):
            assert [h["action_id"] for h in search(stack, "filtered", **{name: value})] == [two]
        assert search(stack, "filtered", status="refused") == []
        assert search(stack, "filtered", model_id="M") == []
        assert len(search(stack, "filtered", model_id="m")) == 2
        indexed(stack)


def test_a_rare_users_calls_are_found_within_sessions_and_without(
    stack: Ledger, provider: Provider
) -> None:
    in_session = say(stack, "seldom said", "seldom", user_id="rarely", agent_name="a")
    without = say(stack, "seldom said", user_id="rarely")
    say(stack, "seldom said", "seldom", user_id="somebody")
    say(stack, "nothing of it", "seldom", user_id="rarely")
    indexed(stack)
    for filters, expected in (
        ({"user_id": "rarely"}, [without, in_session]),
        ({"user_id": "rarely", "agent_name": "a"}, [in_session]),
        ({"user_id": "rarely", "agent_name": "nobody"}, []),
    ):
        assert [h["action_id"] for h in search(stack, "seldom said", **filters)] == expected


def test_pages_are_stable_while_calls_arrive(stack: Ledger) -> None:
    ids = [say(stack, f"paged {n}") for n in range(5)]
    response = stack.get("/api/search?q=paged&limit=2")
    say(stack, "paged later")
    found = response.json()
    while "next" in response.links:
        response = stack.get(response.links["next"]["url"].removeprefix(stack.url))
        assert len(response.json()) <= 2
        found += response.json()
    assert [hit["action_id"] for hit in found] == ids[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q=+%22%22+", "q"),
        ("q=" + "x" * 501, "q"),
        ("q=" + "+".join(f"w{n}w" for n in range(21)), "q"),
        ("q=x&limit=0", "limit"),
        ("q=x&limit=201", "limit"),
        ("q=x&cursor=-1", "cursor"),
        ("q=x&status=fine", "status"),
        ("q=x&since=yesterday", "since"),
        ("q=x&min_cost=-1", "min_cost"),
        ("q=x&agent=a", "agent"),
    ],
)
def test_bad_input_is_refused_with_the_field(stack: Ledger, query: str, field: str) -> None:
    response = stack.get(f"/api/search?{query}")
    assert response.status_code == 400
    assert list(response.json()) == [field]


@pytest.mark.parametrize(
    "q", ["%00", "a%00b", "%ff", "\\", "%25", "_", "'", "\"'", "* AND (", "^a", "a:b"]
)
def test_odd_queries_are_only_text(stack: Ledger, q: str) -> None:
    for padding in ("", "xyz"):
        assert stack.get(f"/api/search?q={q}{padding}").status_code == 200


# --- the index and the ledger ---


def test_readiness_reports_what_search_lacks(stack: Ledger) -> None:
    say(stack, "x")
    indexed(stack)
    [sink] = stack.get("/readyz").json()["sinks"]
    lacks = "AGENTLEDGER_DSN" in stack.env and "pg-" not in stack.env["AGENTLEDGER_DSN"]
    assert bool(sink["without"]) == lacks
    reasons = stack.get("/readyz").json()["reasons"]
    assert any("pg_trgm" in reason for reason in reasons) == lacks


def test_a_deleted_call_is_no_hit_and_leaves_the_index(fresh: Ledger) -> None:
    import sqlite3
    from contextlib import closing

    with fresh:
        kept, gone = say(fresh, "kept vicuna"), say(fresh, "gone vicuna")
        indexed(fresh)
        assert httpx.delete(f"{fresh.url}/api/calls/{gone}").status_code == 204
        assert [hit["action_id"] for hit in search(fresh, "vicuna")] == [kept]

        def texts() -> int:
            with closing(sqlite3.connect(fresh.folder / "agentledger.db")) as db:
                ((found,),) = db.execute(
                    "SELECT count(*) FROM reports_search WHERE reports_search MATCH '\"vicuna\"'"
                ).fetchall()
                return int(found)

        wait_until(lambda: texts() == 1)
        assert [hit["action_id"] for hit in search(fresh, "vicuna")] == [kept]


@pytest.mark.parametrize("n_words", [1, 30_000], ids=["short", "in pieces"])
def test_a_message_is_found_with_the_call_that_is_left_of_those_that_sent_it(
    stack: Ledger, n_words: int
) -> None:
    session = f"inherited-{n_words}"
    history = [
        {"role": "user", "content": f"marmot{n_words} {'word ' * n_words} dormouse{n_words}"}
    ]
    action_ids = []
    for text in ("first", "second"):
        response = httpx.post(
            f"{stack.url}/v1/chat/completions",
            json={"model": "m", "messages": history},
            headers={"x-agentledger-session-id": session},
            timeout=30,
        )
        action_ids.append(response.headers["x-agentledger-action-id"])
        history = [*history, {"role": "user", "content": text}]
    stack.calls(session, count=2)
    indexed(stack)

    def found(q: str) -> list[str]:
        return [hit["action_id"] for hit in search(stack, q)]

    def found_first_and_last() -> list[str]:
        return [*found(f"marmot{n_words}"), *found(f"dormouse{n_words}")]

    first, second = action_ids
    assert found_first_and_last() == [first, first]
    assert httpx.delete(f"{stack.url}/api/calls/{first}").status_code == 204
    wait_until(lambda: found_first_and_last() == [second, second])
    assert httpx.delete(f"{stack.url}/api/calls/{second}").status_code == 204
    wait_until(lambda: found_first_and_last() == [])


def test_an_interrupted_search_continues_where_it_stopped(fresh: Ledger) -> None:
    """Without an index each call's text is read: 3 s of it, where a search may take one."""
    marked = []
    with fresh:
        say(fresh, "first")
        sinks = fresh.sinks()
        sinks.suspend()
        with httpx.Client(base_url=fresh.url, timeout=60) as agent:
            for n in range(300):
                text = f"{'gecko' if n % 60 == 0 else ''} {'Wörd ' * 50_000}"
                body = {"model": "m", "messages": [{"role": "user", "content": text}]}
                headers = {"x-agentledger-session-id": "s"}
                response = agent.post("/v1/chat/completions", json=body, headers=headers)
                if n % 60 == 0:
                    marked.append(response.headers["x-agentledger-action-id"])
            wait_until(lambda: fresh.n_recorded() == 300)
            pages = [agent.get("/api/search?q=gecko")]
            while "next" in pages[-1].links:
                pages.append(agent.get(pages[-1].links["next"]["url"]))
        sinks.resume()
    complete = [page.headers["x-complete"] for page in pages]
    assert len(complete) > 1
    assert complete == ["false"] * (len(complete) - 1) + ["true"]
    assert [hit["action_id"] for page in pages for hit in page.json()] == marked[::-1]
