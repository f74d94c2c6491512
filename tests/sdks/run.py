"""Makes the calls of a module, each straight to the provider and through AgentLedger, and prints as
JSON all that its SDK gave back.

A process of its own, in a folder of its own: SDKs are slow to import, and some bring a package that
has the name of one of ours. A call is a generator; what it yields, and what it raises, is what a
user of the SDK sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import json
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Call = Callable[[str, dict[str, str]], Any]

# Header names: ours, and those that describe one hop.
NOT_COMPARED = {"x-agentledger-action-id", "connection", "keep-alive"}
# Cohere's exceptions show all headers in their text.
OUR_HEADER = re.compile(r", 'x-agentledger-action-id': '[^']*'")
DEEPEST = 30


def main(module: str, cases: str, *urls: str) -> None:
    """`cases` is JSON: the name of each case, and of the function that makes its call."""
    with contextlib.redirect_stdout(sys.stderr):  # some SDKs print
        calls = runpy.run_path(module)
        named = {case: calls[call] for case, call in json.loads(cases).items()}
        seen = [asyncio.run(seen_at(url, named)) for url in urls]
    json.dump(seen, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # some SDKs leave threads running


async def seen_at(url: str, calls: Mapping[str, Call]) -> dict[str, Any]:
    return {case: await seen_of(case, call, url) for case, call in calls.items()}


async def seen_of(case: str, call: Call, url: str) -> dict[str, Any]:
    values: list[Any] = []
    try:
        given = call(f"{url}/case-{case}", {"x-agentledger-session-id": case})
        if inspect.isasyncgen(given):
            async for value in given:
                values.append(shown(value, url))
        else:
            for value in given:
                values.append(shown(value, url))
    except Exception as error:  # every exception of an SDK is a result to compare
        return {"values": values, "raised": shown(error, url)}
    return {"values": values, "raised": None}


def shown(value: Any, url: str, depth: int = 0) -> Any:
    """`value` as JSON, with all that can be told from it but the address that was called."""
    assert depth < DEEPEST, type(value)

    def inner(one: Any) -> Any:
        return shown(one, url, depth + 1)

    def named(facts: Iterable[tuple[object, Any]]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, fact in facts:
            if str(name).endswith("headers") and type(fact) is dict:
                # Google's SDK keeps them as they are written: servers may use any case.
                fact = {key.lower(): text for key, text in fact.items()}
            if name not in NOT_COMPARED:
                told[str(name)] = inner(fact)
        return told

    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return OUR_HEADER.sub("", value.replace(url, "http://provider"))
    if isinstance(value, bytes):
        return inner(value.decode("latin-1"))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseException):
        told = {**vars(value), "str": str(value), "cause": value.__cause__}
        return {kind: named(told.items())}
    if hasattr(value, "status_code") and hasattr(value, "headers"):  # an HTTP library's answer
        return {kind: [value.status_code, inner(value.headers), inner(body_of(value))]}
    if hasattr(value, "method") and hasattr(value, "url"):  # its request
        return {kind: [value.method, inner(str(value.url))]}
    if hasattr(value, "multi_items"):  # its headers
        pairs = [pair for pair in value.multi_items() if pair[0].lower() not in NOT_COMPARED]
        return {kind: inner(pairs)}
    if isinstance(value, Mapping):
        return named(value.items())
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {kind: named((field.name, getattr(value, field.name)) for field in fields)}
    if hasattr(value, "__pydantic_extra__"):
        parts = (vars(value), value.__pydantic_extra__, value.__pydantic_private__)
        return {kind: named(item for part in parts if part for item in part.items())}
    if isinstance(value, Iterable):
        return [inner(one) for one in value]
    return kind


def body_of(response: Any) -> bytes | None:
    """None of a stream that was not read whole."""
    body: bytes | None = getattr(response, "_content", None)
    return body


if __name__ == "__main__":
    main(*sys.argv[1:])
