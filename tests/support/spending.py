"""Calls that cost a cent each, and how budgets stand after them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import openai

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

# Its prompt is free, and a token of its response costs a tenth of a cent.
_PRICES = {"penny": [0, 1000], "dime": [0, 10_000], "unheard": [0, 1000]}
PRICING = {"AGENTLEDGER_PRICING": json.dumps(_PRICES)}
CENT = Decimal("0.01")
HELLO: Any = [{"role": "user", "content": "hello"}]
# As long as a hundred calls take to come in.
ALL_AT_ONCE_S = 2.0


def response(tokens_out: int = 10) -> dict[str, Any]:
    usage = {"prompt_tokens": 12, "completion_tokens": tokens_out, "total_tokens": 12 + tokens_out}
    return {**canned.chat("hi", model="penny"), "usage": usage}


def program(provider: Provider, *, tokens_out: int = 10, after_s: float = 0) -> None:
    steps = canned.as_json(response(tokens_out))
    provider.response(*([canned.sleep(after_s)] if after_s else []), *steps)


def client(ledger: Ledger, max_retries: int = 0, /, **headers: str) -> openai.AsyncOpenAI:
    named: dict[str, str] = {
        f"x-agentledger-{name.replace('_', '-')}": value for name, value in headers.items()
    }
    return openai.AsyncOpenAI(
        base_url=f"{ledger.url}/v1", api_key="k", default_headers=named, max_retries=max_retries
    )


async def one(asking: openai.AsyncOpenAI, **more: Any) -> str:
    """What became of a call that may cost a cent: "passed", or the code of its refusal."""
    try:
        await asking.chat.completions.create(
            **{"model": "penny", "messages": HELLO, "max_tokens": 10, **more}
        )
    except openai.APIStatusError as error:
        return str(error.code)
    return "passed"


def at_once(n: int, *ledgers: Ledger, **headers: str) -> Counter[str]:
    """What became of `n` calls, spread over the proxies."""

    async def whole() -> list[str]:
        clients = [client(ledger, **headers) for ledger in ledgers]
        calls = [one(clients[i % len(clients)]) for i in range(n)]
        try:
            return await asyncio.gather(*calls)
        finally:
            for asking in clients:
                await asking.close()

    return Counter(asyncio.run(whole()))


def call(ledger: Ledger, **headers: str) -> str:
    """What became of one call."""

    async def whole() -> str:
        async with client(ledger, **headers) as asking:
            return await one(asking)

    return asyncio.run(whole())


def standing(ledger: Ledger, name: str, **keys: str) -> dict[str, Any]:
    """One of the budgets and limits, with amounts as exact numbers."""
    found = ledger.get("/api/limits", params=keys).raise_for_status().text
    [one] = [s for s in json.loads(found, parse_float=Decimal) if s["name"] == name]
    return {
        k: Decimal(v) if k in ("limit", "used", "reserved", "left") else v for k, v in one.items()
    }


def settled(ledger: Ledger, name: str, **keys: str) -> dict[str, Any]:
    """The same, once no call holds anything."""

    def found() -> dict[str, Any] | None:
        one = standing(ledger, name, **keys)
        return one if one["reserved"] == 0 else None

    one: dict[str, Any] = wait_until(found)
    return one
