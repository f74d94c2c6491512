"""The error that ends a stream in the middle when it has used up its budget."""

from __future__ import annotations

from capture.proxy.forwarded_call import ForwardedCall
from capture.upstream.client import UpstreamResponse
from capture.wire.stream_error import error_event

BUDGET_USED_UP = "this stream has used up what was left of its budget and was ended"


def budget_error_event(call: ForwardedCall, response: UpstreamResponse) -> bytes | None:
    """Returns the event that would end this stream; None where the operator wants none, or where
    none can be inserted: the body has a given length, or is compressed."""
    may_end = call.charge is not None and call.runtime.config.budget_midstream
    if not may_end or response.length is not None:
        return None
    headers = dict(response.headers)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        return None
    wire_format = call.incoming.wire_format
    return error_event(
        wire_format.NAME,
        headers.get(b"content-type", b"").decode("latin-1"),
        f"AgentLedger: {BUDGET_USED_UP}",
        type="rate_limit_error" if wire_format.PROVIDER == "anthropic" else "insufficient_quota",
        code="budget_exceeded",
        request_id=str(call.incoming.action_id),
    )


def can_follow(event: bytes, chunk: bytes) -> bool:
    """Returns whether `chunk` ends an event: elsewhere `event` would become a part of another."""
    return chunk.endswith(b"\n" if event.startswith(b"{") else (b"\n\n", b"\r\n\r\n"))
