"""Inputs from public bug reports of gateways, SDKs and agents, each with its source.

A file of `tests/capture/cases/` has a request, the provider's answer byte for byte, and `right`:
the facts that the ledger must have, worked out by hand from the provider's documentation and
prices (`worked` says how, where it is not plain). In `right`, ["in", [a, b]] accepts any of these
and ["has", "text"] a text with this in it; `http_status`, `recorded` and `header:NAME` are what
the agent meets, `goes_to` is the maker whose stand-in received the request.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
MAKERS = ("openai", "anthropic", "google")
EXACT = 1e-9  # USD
# What the agent meets, beside `header:…`: it takes no look into the ledger.
MET_BY_AGENT = {"http_status", "recorded", "goes_to"}

Case = dict[str, Any]
LedgerFor = Callable[[Case], tuple[Ledger, dict[str, Provider]]]


@pytest.fixture(scope="module")
def started() -> dict[str, Ledger]:
    """The ledgers that cases have started."""
    return {}


@pytest.fixture(scope="module")
def ledger_for(
    tmp_path_factory: pytest.TempPathFactory, started: dict[str, Ledger]
) -> Iterator[LedgerFor]:
    """The ledger of a case's `env`, started once, and the stand-in of each maker. `HOMES` sets no
    upstream, only where each maker's calls go."""
    with ExitStack() as stack:
        makers = {name: stack.enter_context(Provider()) for name in MAKERS}

        def find(case: Case) -> tuple[Ledger, dict[str, Provider]]:
            env: dict[str, str] = dict(case.get("env") or {})
            key = json.dumps(env, sort_keys=True)
            if key not in started:
                default = makers["openai"].url
                if env.pop("HOMES", None):
                    urls = {name: provider.url for name, provider in makers.items()}
                    env["AGENTLEDGER_UPSTREAMS"] = json.dumps(urls)
                    default = ""
                env = {name: value.replace("{upstream}", default) for name, value in env.items()}
                folder = tmp_path_factory.mktemp("ledger")
                started[key] = stack.enter_context(Ledger(folder, default, env=env))
            return started[key], makers

        yield find


@pytest.mark.parametrize("name", CASES)
def test_a_case_from_a_public_report_is_recorded_right(name: str, ledger_for: LedgerFor) -> None:
    case: Case = json.loads((FOLDER / f"{name}.json").read_bytes())
    ledger, makers = ledger_for(case)
    for maker in makers.values():
        maker.reset()
        maker.response(*answer(case["answer"]))
    asked = case["request"]
    response = httpx.request(
        asked["method"],
        ledger.url + asked["path"],
        content=None if asked["json"] is None else json.dumps(asked["json"]).encode(),
        headers={
            "content-type": "application/json",
            "authorization": "Bearer x",
            "x-agentledger-session-id": f"s-{name}",
            **asked["headers"],
        },
        timeout=30,
    )
    action_id = response.headers.get("x-agentledger-action-id")
    right = case["right"]
    is_looked_up = any(":" not in key for key in right.keys() - MET_BY_AGENT)
    facts = ledger.explain(action_id) if action_id and is_looked_up else {}
    received = [name for name, provider in makers.items() if provider.counts()["received"]]
    facts |= {
        "http_status": response.status_code,
        "recorded": action_id is not None,
        "goes_to": received[0] if received else "nowhere",
        **{f"header:{name}": value for name, value in response.headers.items()},
    }
    assert not {key: facts.get(key) for key in right if not fits(facts.get(key), right[key])}


def test_pricing_the_cases_again_changes_no_cost(
    started: dict[str, Ledger], ledger_for: LedgerFor
) -> None:
    for ledger in started.values():
        done = ledger.command("reprice")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("0 of "), done.stdout


def answer(answer: dict[str, Any]) -> list[list[Any]]:
    """The steps of the stand-in that answers so: an event stream in two chunks, all else in one."""
    body = answer.get("body", "").encode()
    if "body_base64" in answer:
        body = base64.b64decode(answer["body_base64"])
    headers = list(answer["headers"].items())
    if "event-stream" not in answer["headers"].get("content-type", ""):
        return canned.whole(body, status=answer["status"], headers=headers)
    half = len(body) // 2
    pieces = [piece for piece in (body[:half], body[half:]) if piece]
    return canned.stream(pieces, status=answer["status"], headers=headers)


def fits(found: Any, right: Any) -> bool:
    """Whether a fact is as `right` says; an object may have more fields than it."""
    match right:
        case ["in", [*those]]:
            return any(fits(found, one) for one in those)
        case ["has", str(text)]:
            return text in str(found)
        case list():
            return (
                isinstance(found, list)
                and len(found) == len(right)
                and all(map(fits, found, right))
            )
        case dict():
            return isinstance(found, dict) and all(fits(found.get(k), v) for k, v in right.items())
        case float():
            return isinstance(found, int | float) and abs(found - right) < EXACT
    return bool(found == right)
