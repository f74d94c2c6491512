"""The answer to a refused call: the error that the SDK of its wire format shows, and which it
tries again only where that can help."""

from __future__ import annotations

from math import ceil
from uuid import UUID

from capture.admission.decision import Refused
from capture.proxy.handler import ProxyResponse
from capture.proxy.responses import error_response
from capture.wire.types import WireFormat

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_BUDGET = ("budget_exceeded", "budget_unpriced")


def refusal_response(wire_format: WireFormat, action_id: UUID, refused: Refused) -> ProxyResponse:
    return error_response(
        wire_format,
        action_id,
        status=refused.status,
        message=f"AgentLedger: {refused.message}",
        code=refused.code,
        type=_type(wire_format, refused),
        may_retry=refused.may_retry,
        more_headers=_retry_after(refused),
    )


def _type(wire_format: WireFormat, refused: Refused) -> str:
    if refused.code in _BUDGET and wire_format.PROVIDER not in ("anthropic", "google"):
        return "insufficient_quota"  # OpenAI's own, which agent frameworks know
    return _TYPES.get(refused.status, "api_error")


def _retry_after(refused: Refused) -> list[tuple[bytes, bytes]]:
    """Only where a retry can help: some SDKs would sleep out any time that is named."""
    if refused.retry_after_s is None or not refused.may_retry:
        return []
    return [
        (b"retry-after", b"%d" % max(1, ceil(refused.retry_after_s))),
        (b"retry-after-ms", b"%d" % max(1, ceil(refused.retry_after_s * 1000))),
    ]
