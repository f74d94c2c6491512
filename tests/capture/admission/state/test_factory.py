"""Which state the configuration asks for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from decimal import Decimal

from django.test import override_settings

from agentledger_site import conf
from agentledger_site.variables import PREFIX
from capture.admission.decision import NOTHING_APPLIES, Keys, State
from capture.admission.state.factory import new_state
from tests.capture.admission.state.states import (
    admission_of,
    new_request,
    refusal_of,
    used_and_held,
)
from tests.support.ledger import PROJECT
from tests.support.redis_server import RedisServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")

CONFIGURED = {
    "BUDGET_SESSION": "4",
    "BUDGET_AGENT": "3",
    "BUDGET_DAILY": "9",
    "BUDGET_USER": "5",
    "BUDGET_STATUS": "403",
    "RATE_LIMIT_RPM": "6",
    "RATE_LIMIT_SESSION_RPM": "7",
    "RATE_LIMIT_AGENT_RPM": "8",
    "RATE_LIMIT_USER_RPM": "10",
}


def new_configured_state(**more: str) -> State:
    values = {PREFIX + name: value for name, value in (CONFIGURED | more).items()}
    with override_settings(AGENTLEDGER=conf.read_config(values)):
        return new_state()


async def check(state: State) -> None:
    of = {"session": "s", "agent": "a", "user": "u"}
    for _ in range(3):
        admission_of(await state.admit(new_request("1", **of)))
    assert refusal_of(await state.admit(new_request("1", **of))).status == 403
    standing = await state.standing(Keys(session_id="s", agent_name="a", user_id="u"))
    assert {(s.name, s.key): s.limit for s in standing} == {
        ("budget_session", "s"): Decimal(4),
        ("budget_agent", "a"): Decimal(3),
        ("budget_user", "u"): Decimal(5),
        ("budget_daily", None): Decimal(9),
        ("rate_limit_rpm", None): Decimal(6),
        ("rate_limit_session_rpm", "s"): Decimal(7),
        ("rate_limit_agent_rpm", "a"): Decimal(8),
        ("rate_limit_user_rpm", "u"): Decimal(10),
    }
    assert {used_and_held(s) for s in standing} == {(0, 3), (3, 0)}
    await state.close()


def test_the_state_in_memory() -> None:
    asyncio.run(check(new_configured_state()))


def test_the_state_in_redis(redis_server: RedisServer) -> None:
    asyncio.run(check(new_configured_state(REDIS_URL=redis_server.url)))
    with redis_server.client() as client:
        assert client.dbsize() > 0


def test_without_limits_nothing_applies() -> None:
    async def check_nothing() -> None:
        with override_settings(AGENTLEDGER=conf.read_config({})):
            state = new_state()
        assert await state.admit(new_request("1", session="s")) == NOTHING_APPLIES
        assert await state.standing(Keys(session_id="s")) == []

    asyncio.run(check_nothing())


def test_without_a_url_the_redis_client_is_not_loaded() -> None:
    program = "import sys, capture.admission.state.factory; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT).returncode == 0
