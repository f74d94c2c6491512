"""A refused call is answered and put on the record; of a flood one record tells."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from capture.admission.decision import BudgetWarning, Refused
from capture.exchange import Outcome, Refusal, RequestHead
from capture.proxy import recorded_headers
from capture.proxy.handler import ProxyResponse
from capture.proxy.refusal_response import refusal_response
from capture.proxy.request_body import READ_SIZE, Body
from capture.proxy.runtime import Runtime
from capture.spool.folder import SpoolError
from capture.wire import registry
from capture.wire.request_summary import Glance
from capture.wire.types import JSON

KEPT_BYTES = 4096


async def refuse(
    runtime: Runtime,
    action_id: UUID,
    head: RequestHead,
    body: Body,
    refused: Refused,
    glance: Glance | None,
) -> ProxyResponse:
    """`head` is that of the call as it would have gone upstream."""
    runtime.counters.refused += 1
    data, sha256 = await _beginning(body)
    if body.file is not None:
        body.discard()
        runtime.writer.took(-body.size)
    refusal = Refusal(
        code=refused.code,
        facts=refused.facts,
        model=glance.model if glance else None,
        body_sha256=sha256,
    )
    head = replace(head, body_file=False, refusal=refusal)
    response = refusal_response(registry.by_name(head.wire_format), action_id, refused)
    if not runtime.floods.absorbs(refused, head):
        try:
            await _record(runtime, action_id, head, data, refused, response)
        except SpoolError:  # the disk is full: the call is refused all the same
            runtime.counters.unrecorded += 1
    return response


async def _record(
    runtime: Runtime,
    action_id: UUID,
    head: RequestHead,
    data: bytes,
    refused: Refused,
    response: ProxyResponse,
) -> None:
    entry = runtime.writer.begin(action_id, head, data)
    entry.whole_response(
        response.status_code,
        recorded_headers.response_headers(response.raw_headers),
        response.body,
        outcome=Outcome.REFUSED,
        error=refused.message,
        ours=True,
    )
    await entry.synced()


async def _beginning(body: Body) -> tuple[bytes, str | None]:
    """What is kept of a body and, where that is not all of it, the SHA-256 of the whole."""
    if body.file is not None:
        return await asyncio.to_thread(_beginning_of_file, body.file)
    if body.size <= KEPT_BYTES:
        return body.data, None
    return body.data[:KEPT_BYTES], hashlib.sha256(body.data).hexdigest()


def _beginning_of_file(path: Path) -> tuple[bytes, str]:
    with path.open("rb") as file:
        data = file.read(KEPT_BYTES)
        digest = hashlib.sha256(data)
        while piece := file.read(READ_SIZE):
            digest.update(piece)
    return data, digest.hexdigest()


def told(warnings: Sequence[BudgetWarning]) -> list[dict[str, JSON]] | None:
    """As the record tells them; USD as exact text."""
    return [
        {
            "budget": warning.budget,
            "key": warning.key,
            "spent_usd": _exactly(warning.spent_usd),
            "limit_usd": _exactly(warning.limit_usd) if warning.limit_usd is not None else None,
        }
        for warning in warnings
    ] or None


def _exactly(usd: Decimal) -> str:
    return f"{usd.normalize():f}"
