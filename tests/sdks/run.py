"""Makes the calls of a module, each straight to the provider and through AgentLedger, and prints as
JSON all that its SDK returned.

It runs in a process and a folder of its own, as SDKs are slow to import, and some need a package
with the name of one of ours. A call is a generator that yields and raises what a user of the SDK
sees.
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
        functions = {case: calls[call] for case, call in json.loads(cases).items()}
        seen = [asyncio.run(observe_all(url, functions)) for url in urls]
    json.dump(seen, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # some SDKs leave threads running


async def observe_all(url: str, calls: Mapping[str, Call]) -> dict[str, Any]:
    return {case: await observe(case, call, url) for case, call in calls.items()}


async def observe(case: str, call: Call, url: str) -> dict[str, Any]:
    values: list[Any] = []
    try:
        values_of_call = call(f"{url}/case-{case}", {"x-agentledger-session-id": case})
        if inspect.isasyncgen(values_of_call):
            async for value in values_of_call:
                values.append(as_plain_json(value, url))
        else:
            for value in values_of_call:
                values.append(as_plain_json(value, url))
    # Every exception of an SDK is a result to compare.
    except Exception as error:  # compared, whatever its class
        return {"values": values, "raised": as_plain_json(error, url)}
    return {"values": values, "raised": None}


def as_plain_json(value: Any, url: str, depth: int = 0) -> Any:
    """`value` as JSON, with all its facts except the address that was called."""
    assert depth < DEEPEST, type(value)

    def inner(one: Any) -> Any:
        return as_plain_json(one, url, depth + 1)

    def with_names(facts: Iterable[tuple[object, Any]]) -> dict[str, Any]:
        facts_by_name: dict[str, Any] = {}
        for name, fact in facts:
            if str(name).endswith("headers") and type(fact) is dict:
                # Google's SDK keeps them as they are written: servers may use any case.
                fact = {key.lower(): text for key, text in fact.items()}
            if name not in NOT_COMPARED:
                facts_by_name[str(name)] = inner(fact)
        return facts_by_name

    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return OUR_HEADER.sub("", value.replace(url, "http://provider"))
    if isinstance(value, bytes):
        return inner(value.decode("latin-1"))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseException):
        facts_by_name = {**vars(value), "str": str(value), "cause": value.__cause__}
        return {kind: with_names(facts_by_name.items())}
    if hasattr(value, "status_code") and hasattr(value, "headers"):  # an HTTP library's response
        return {kind: [value.status_code, inner(value.headers), inner(body_of(value))]}
    if hasattr(value, "method") and hasattr(value, "url"):  # its request
        return {kind: [value.method, inner(str(value.url))]}
    if hasattr(value, "multi_items"):  # its headers
        pairs = [pair for pair in value.multi_items() if pair[0].lower() not in NOT_COMPARED]
        return {kind: inner(pairs)}
    if isinstance(value, Mapping):
        return with_names(value.items())
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {kind: with_names((field.name, getattr(value, field.name)) for field in fields)}
    if hasattr(value, "__pydantic_extra__"):
        parts = (vars(value), value.__pydantic_extra__, value.__pydantic_private__)
        return {kind: with_names(item for part in parts if part for item in part.items())}
    if isinstance(value, Iterable):
        return [inner(one) for one in value]
    return kind


def body_of(response: Any) -> bytes | None:
    """None for a stream that was not read to its end."""
    body: bytes | None = getattr(response, "_content", None)
    return body


if __name__ == "__main__":
    main(*sys.argv[1:])
