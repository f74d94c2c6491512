"""A call as the agent sends it, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from capture.admission.decision import Refused
from capture.exchange import new_action_id
from capture.proxy import recorded_headers
from capture.proxy.runtime import Runtime
from capture.upstream.headers import RawHeaders
from capture.upstream.own_secrets import without_tokens
from capture.upstream.routing import Route
from capture.wire import registry
from capture.wire.types import WireFormat


@dataclass(slots=True)
class IncomingCall:
    """An HTTP request, a WebSocket's handshake, or one turn of a WebSocket."""

    method: str
    path: str  # decoded
    target: bytes  # raw path and query
    headers: RawHeaders
    wire_format: WireFormat  # `raw` where the path belongs to no format that we know
    route: Route
    fields: dict[str, str]  # the x-agentledger-* fields, and the name of the ingest token
    # A GET over HTTP creates nothing at the provider that would cost money: only stops apply to it.
    only_reads: bool = False
    action_id: UUID = field(default_factory=new_action_id)


class EntryRefused(Exception):
    """The agent sent no valid ingest key, or it is a page that may not connect."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def identify_call(
    runtime: Runtime,
    *,
    method: str,
    path: str,
    target: bytes,
    headers: RawHeaders,
    wire_format: WireFormat | None,
) -> IncomingCall:
    """Returns what the request line and the headers say about a call, without what is ours in
    them. Raises EntryRefused and UnknownUpstream. The body has not been read yet: an agent without
    a key fills no disk."""
    refused = runtime.admission.check_key(headers)
    if refused is not None:
        runtime.counters.refused_keys += 1
        raise EntryRefused(refused)
    passed, target = runtime.own_secrets.remove(headers, target)
    route = runtime.destinations.route(path, target, passed, wire_format)
    fields = recorded_headers.ledger_fields(passed)
    runtime.admission.ingest.add_token_field(headers, fields)
    return IncomingCall(
        method=method,
        path=without_tokens(path),
        target=target,
        headers=passed,
        wire_format=wire_format or registry.by_name("raw"),
        route=route,
        fields=fields,
    )
