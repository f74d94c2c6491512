"""AgentLedger's own responses, in the shape that the agent's SDK reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from capture.exchange import new_action_id
from capture.proxy.http_messages import ProxyResponse
from capture.upstream.client import UpstreamError
from capture.upstream.routing import UnknownUpstream
from capture.wire.types import WireFormat

logger = logging.getLogger("agentledger.proxy")

ACTION_ID = b"x-agentledger-action-id"
DO_NOT_RETRY = (b"x-should-retry", b"false")

# An agent that tries again and again fills no log.
LOG_PAUSE_S = 60.0
_logged: dict[str, float] = {}


def log_detail(summary: str, detail: str) -> None:
    """Logs what an agent is not told: paths, addresses, an upstream's bytes. Of several failures
    with one summary within a minute only the first is logged; a call's record has its own."""
    now = time.monotonic()
    if now - _logged.get(summary, float("-inf")) > LOG_PAUSE_S:
        _logged[summary] = now
        logger.warning("%s", detail)


def error_response(
    wire_format: WireFormat,
    action_id: UUID,
    *,
    status: int,
    message: str,
    code: str,
    type: str = "api_error",
    may_retry: bool,
    more_headers: Sequence[tuple[bytes, bytes]] = (),
) -> ProxyResponse:
    request_id = str(action_id)
    body = wire_format.error_body(message, type=type, code=code, request_id=request_id)
    encoded_id = request_id.encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", encoded_id),
        (b"request-id", encoded_id),
        (ACTION_ID, encoded_id),
        *more_headers,
    ]
    if not may_retry:
        headers.append(DO_NOT_RETRY)
    return ProxyResponse(status, headers, body=body, error_code=code)


def upstream_failed(
    wire_format: WireFormat, action_id: UUID, error: UpstreamError
) -> ProxyResponse:
    log_detail(error.summary, str(error))
    return error_response(
        wire_format,
        action_id,
        status=error.status,
        message=f"AgentLedger: {error.summary}",
        code="upstream_timeout" if error.status == 504 else "upstream_unreachable",
        # SDKs try again by themselves. Where the upstream may have worked, that would cost twice.
        may_retry=not error.may_have_worked,
    )


def unknown_upstream(wire_format: WireFormat, error: UnknownUpstream) -> ProxyResponse:
    return error_response(
        wire_format,
        new_action_id(),
        status=404,
        message=f"AgentLedger: {error}",
        code="unknown_upstream",
        may_retry=False,
    )


def unrecordable(
    wire_format: WireFormat, action_id: UUID, summary: str, *, may_retry: bool
) -> ProxyResponse:
    """`summary` is that of a SpoolError."""
    return error_response(
        wire_format,
        action_id,
        status=503,
        message=f"AgentLedger: calls cannot be recorded now: {summary}",
        code="ledger_full",
        may_retry=may_retry,
    )
