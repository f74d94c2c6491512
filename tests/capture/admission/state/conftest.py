from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from capture.admission.budgets import Budgets
from capture.admission.decision import SpendLookup
from capture.admission.rate_limits import Limits
from tests.capture.admission.state.states import Bench
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_once() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_once: RedisServer) -> RedisServer:
    """Empty."""
    redis_once.empty()
    return redis_once


MakeBench = Callable[..., Bench]


@pytest.fixture(params=["memory", "redis"])
def bench(request: pytest.FixtureRequest) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(
        limits: Limits | None = None,
        budgets: Budgets | None = None,
        prior_spend: SpendLookup | None = None,
    ) -> Bench:
        url = None
        if request.param == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            url = server.url
        made.append(Bench(limits or Limits(), budgets or Budgets(), prior_spend, url))
        return made[-1]

    yield make
    for one in made:
        one.close()
