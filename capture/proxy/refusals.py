"""A refused call: the agent gets an error, the ledger a record.

The error is one that the SDK of the call's wire format shows, and retries only where that can help.
Many refusals at once share one record.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from uuid import UUID

from capture.admission.decision import BudgetWarning, Refused
from capture.exchange import Outcome, Refusal, RequestHead
from capture.pricing.cost import exact_usd
from capture.proxy import recorded_headers
from capture.proxy.http_messages import ProxyResponse
from capture.proxy.incoming_call import IncomingCall
from capture.proxy.request_body import READ_SIZE, RequestBody
from capture.proxy.responses import error_response
from capture.proxy.runtime import Runtime
from capture.spool.folder import SpoolError
from capture.wire.request_summary import RequestSummary
from capture.wire.types import JSON, WireFormat

# Bytes of a refused call's body that are recorded.
RECORDED_BYTES = 4096

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_BUDGET_CODES = ("budget_exceeded", "budget_unpriced")


# --- the response ---


def refusal_response(wire_format: WireFormat, action_id: UUID, refused: Refused) -> ProxyResponse:
    return error_response(
        wire_format,
        action_id,
        status=refused.status,
        message=f"AgentLedger: {refused.message}",
        code=refused.code,
        type=_error_type(wire_format, refused),
        may_retry=refused.may_retry,
        more_headers=_retry_after(refused),
    )


def stop_response(runtime: Runtime, call: IncomingCall) -> ProxyResponse | None:
    """Returns the response to a call that a stop forbids, and counts it; None: no stop does."""
    refused = runtime.admission.check_stops(call.fields)
    if refused is None:
        return None
    runtime.counters.refused += 1
    return refusal_response(call.wire_format, call.action_id, refused)


def _error_type(wire_format: WireFormat, refused: Refused) -> str:
    if refused.code in _BUDGET_CODES and wire_format.PROVIDER not in ("anthropic", "google"):
        return "insufficient_quota"  # OpenAI's own, which agent frameworks know
    return _ERROR_TYPES.get(refused.status, "api_error")


def _retry_after(refused: Refused) -> list[tuple[bytes, bytes]]:
    """Returns no headers where a retry cannot help: some SDKs sleep for any time that they name."""
    if refused.retry_after_s is None or not refused.may_retry:
        return []
    return [
        (b"retry-after", b"%d" % max(1, ceil(refused.retry_after_s))),
        (b"retry-after-ms", b"%d" % max(1, ceil(refused.retry_after_s * 1000))),
    ]


# --- the record ---


async def refuse(
    runtime: Runtime,
    call: IncomingCall,
    head: RequestHead,
    body: RequestBody,
    refused: Refused,
    summary: RequestSummary | None,
) -> ProxyResponse:
    """Records a refusal and returns the response to the call. `head` is that of the call as it
    would have gone upstream."""
    runtime.counters.refused += 1
    data, sha256 = await _read_start(body)
    if body.file is not None:
        body.discard()
        runtime.writer.add_bytes(-body.size)
    refusal = Refusal(
        code=refused.code,
        facts=refused.facts,
        model=summary.model if summary else None,
        body_sha256=sha256,
    )
    head = replace(head, has_body_file=False, refusal=refusal)
    response = refusal_response(call.wire_format, call.action_id, refused)
    if not runtime.floods.absorbs(refused, head):
        try:
            await _record(runtime, call.action_id, head, data, refused, response)
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
    entry.write_response(
        response.status_code,
        recorded_headers.response_headers(response.raw_headers),
        response.body,
        outcome=Outcome.REFUSED,
        error=refused.message,
        is_ours=True,
    )
    await entry.sync()


async def _read_start(body: RequestBody) -> tuple[bytes, str | None]:
    """Returns the start of a body and, where that is not all of it, the SHA-256 of the whole."""
    if body.file is not None:
        return await asyncio.to_thread(_read_start_of_file, body.file)
    if body.size <= RECORDED_BYTES:
        return body.data, None
    if body.size <= READ_SIZE:
        digest = hashlib.sha256(body.data)
    else:  # up to a megabyte, or a message of a WebSocket
        digest = await asyncio.to_thread(hashlib.sha256, body.data)
    return body.data[:RECORDED_BYTES], digest.hexdigest()


def _read_start_of_file(path: Path) -> tuple[bytes, str]:
    with path.open("rb") as file:
        data = file.read(RECORDED_BYTES)
        digest = hashlib.sha256(data)
        while block := file.read(READ_SIZE):
            digest.update(block)
    return data, digest.hexdigest()


def warnings_as_json(warnings: Sequence[BudgetWarning]) -> list[dict[str, JSON]] | None:
    """Returns budget warnings as they are recorded, USD as exact text; None where there are
    none."""
    return [
        {
            "budget": warning.budget,
            "key": warning.key,
            "spent_usd": exact_usd(warning.spent_usd),
            "limit_usd": exact_usd(warning.limit_usd) if warning.limit_usd is not None else None,
        }
        for warning in warnings
    ] or None
