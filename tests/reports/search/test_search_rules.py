"""Search finds what a plain reading of its rules finds: any query, before and after indexing."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import create_database
from tests.reports.search.test_search import indexed, say
from tests.support.ledger import Ledger
from tests.support.provider import Provider

N_TEXTS = 60
ALPHABET = 'aAbB äÄßİıΣσς 数据库\n"\\%_*-.+e\u0301\u00e9\U0001f600яЯ\u3000\t'


def texts() -> list[str]:
    pick = random.Random(6)
    return ["".join(pick.choices(ALPHABET, k=pick.randrange(1, 40))) for _ in range(N_TEXTS)]


TEXTS = texts()


def normal(text: str) -> str:
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join("i" if c == "İ" else "σ" if c in "Σς" else c.lower() for c in text)


def words(query: str) -> list[str]:
    """By a walk over the characters."""
    found, at = [], 0
    while at < len(query):
        if query[at].isspace():
            at += 1
        elif query[at] == '"':
            end = at + 1
            while end < len(query) and not (
                query[end] == '"' and (end + 1 == len(query) or query[end + 1].isspace())
            ):
                end += 1
            found.append(query[at + 1 : end])
            at = end + 1
        else:
            end = at
            while end < len(query) and not query[end].isspace():
                end += 1
            found.append(query[at:end])
            at = end
    return [word for word in map(normal, found) if word]


pieces = st.sampled_from(TEXTS).flatmap(
    lambda text: st.tuples(st.integers(0, len(text)), st.integers(1, 8)).map(
        lambda place: text[place[0] : place[0] + place[1]]
    )
)
queries = st.one_of(
    pieces,
    st.lists(pieces, min_size=1, max_size=3).map(" ".join),
    pieces.map(lambda piece: f'"{piece}"'),
    st.text(ALPHABET, min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4),
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "pg_trgm"])
def ledger_and_texts(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ledger, dict[str, list[str]]]]:
    """A ledger, and the texts of each of its calls."""
    _provider.reset()
    env = {}
    if request.param != "sqlite":
        server = "postgresql" if request.param == "postgresql" else "debian_postgresql"
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue(server))
    with Ledger(tmp_path_factory.mktemp("rules"), _provider.url, env=env) as ledger:
        texts = {}
        for text in TEXTS:
            action_id = say(ledger, text)
            call = ledger.explain(action_id)
            fields = (text, call["content"], action_id, call["model_id"])
            texts[action_id] = [normal(field) for field in fields]
        indexed(ledger)
        yield ledger, texts


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries)
def test_the_hits_are_those_of_the_rules(
    ledger_and_texts: tuple[Ledger, dict[str, list[str]]], query: str
) -> None:
    ledger, texts = ledger_and_texts
    response = ledger.get("/api/search", params={"q": query, "limit": 200})
    wanted = words(query)
    if not wanted:
        assert response.status_code == 400
        return
    hits = {hit["action_id"] for hit in response.raise_for_status().json()}
    assert hits == {
        action_id
        for action_id, fields in texts.items()
        if all(any(word in field for field in fields) for word in wanted)
    }
