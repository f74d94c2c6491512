"""The proxy: take the request → admit it → spool it → forward it → spool and hand on the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from capture.admission.charge import Charge
from capture.admission.decision import NOTHING_APPLIES, Admitted, Refused
from capture.admission.gate import Admission
from capture.exchange import RequestHead, new_action_id
from capture.proxy import recorded_headers, usage_injection
from capture.proxy.forward import Call, forward
from capture.proxy.handler import ProxyRequest, ProxyResponse
from capture.proxy.passthrough import pass_through
from capture.proxy.refusal_response import refusal_response
from capture.proxy.refusals import refuse, told
from capture.proxy.request_body import Body, NoRoom, in_memory, taken_whole
from capture.proxy.responses import unknown_upstream, unrecordable
from capture.proxy.runtime import Runtime, running
from capture.spool.folder import SpoolError
from capture.upstream.routing import Destination, UnknownUpstream, Way
from capture.wire import registry
from capture.wire.framing.content_encoding import decode
from capture.wire.request_summary import Glance, glance
from capture.wire.types import WireFormat

# What is looked at of a body: a longer one names its model before that, or it cannot be told.
MAX_GLANCE = 64 * 1024 * 1024


async def proxy(request: ProxyRequest) -> ProxyResponse:
    """Every request that is not for one of our own paths."""
    runtime = running()
    wire_format = recorded_as(request, runtime.config.extra_paths)
    no_entry = runtime.admission.check_key(request.raw_headers)
    if no_entry is not None:
        runtime.counters.refused_keys += 1
        return refusal_response(wire_format or registry.by_name("raw"), new_action_id(), no_entry)
    try:
        way = runtime.destinations.of(
            request.path, request.target, request.raw_headers, wire_format
        )
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or registry.by_name("raw"), error)
    fields = recorded_headers.ledger_fields(request.raw_headers)
    runtime.admission.ingest.add_token_field(request.raw_headers, fields)
    if wire_format is None:
        return await uncaptured(request, runtime, way, fields)
    if not runtime.writer.has_room() and runtime.config.on_full == "pass":
        return await unrecorded(request, runtime, way, wire_format, fields)
    return await captured(request, runtime, way, wire_format, fields)


async def captured(
    request: ProxyRequest,
    runtime: Runtime,
    way: Way,
    wire_format: WireFormat,
    fields: dict[str, str],
) -> ProxyResponse:
    action_id = new_action_id()
    body = taken = None
    try:
        body = await taken_whole(request.receive, runtime.writer, action_id)
        taken = await admitted(request, runtime, action_id, way, wire_format, fields, body)
        if isinstance(taken.decision, Refused):
            return await refuse(runtime, action_id, taken.head, body, taken.decision, taken.glance)
        more = None
        if runtime.config.inject_usage:
            more = usage_injection.asking(body.data, wire_format)
            taken.head.usage_injected = more is not None
        entry = runtime.writer.begin(action_id, taken.head, body.data)
    except SpoolError as error:
        if isinstance(error, NoRoom):
            body = error.taken
        if runtime.config.on_full == "pass":
            if taken is None:
                return await unrecorded(request, runtime, way, wire_format, fields, body)
            runtime.counters.unrecorded += 1
            return await pass_through(request, runtime, way, body, taken.charge)
        if taken is not None and taken.charge is not None:
            await taken.charge.release()
        if body is not None:
            body.discard()
        runtime.counters.refused_full += 1
        return unrecordable(wire_format, action_id, error, may_retry=True)
    runtime.counters.calls += 1
    call = Call(
        action_id,
        wire_format,
        entry,
        runtime,
        way,
        taken.charge,
        taken.decision.remaining_usd,
        asking=more,
    )
    return await forward(request, call, body)


async def unrecorded(
    request: ProxyRequest,
    runtime: Runtime,
    way: Way,
    wire_format: WireFormat,
    fields: dict[str, str],
    body: Body | None = None,
) -> ProxyResponse:
    """The spool is full, and the operator lets calls go on. What he forbids stays forbidden."""
    runtime.counters.unrecorded += 1
    action_id = new_action_id()
    if body is None and runtime.admission.inspects_bodies:
        body = await in_memory(request.receive)
    looked_at = body or Body(b"", 0)
    taken = await admitted(request, runtime, action_id, way, wire_format, fields, looked_at)
    if isinstance(taken.decision, Refused):
        runtime.counters.refused += 1
        looked_at.discard()
        return refusal_response(wire_format, action_id, taken.decision)
    return await pass_through(request, runtime, way, body, taken.charge)


@dataclass(slots=True)
class Taken:
    """A call that was looked at; `decision` says whether it may go on."""

    head: RequestHead
    glance: Glance | None
    decision: Admitted | Refused
    charge: Charge | None = None  # None: no budget applies


async def admitted(
    request: ProxyRequest,
    runtime: Runtime,
    action_id: UUID,
    way: Way,
    wire_format: WireFormat,
    fields: dict[str, str],
    body: Body,
) -> Taken:
    admission = runtime.admission
    looked = await look(request, admission, wire_format, body)
    head = request_head(request, wire_format, body, way.destination, fields)
    if request.method == "GET":  # of an answer that was asked for, and paid, before
        return Taken(head, looked, admission.check_stops(fields) or NOTHING_APPLIES)
    admission_request = admission.new_request(
        action_id, fields, looked, wire_format, way.destination.provider
    )
    decision = await admission.admit(admission_request, fields, looked)
    head.budget_warning = told(decision.warnings)
    taken = Taken(head, looked, decision)
    if isinstance(decision, Admitted):
        taken.charge = runtime.limiter.new_charge(
            admission_request, head, body.data, is_complete=body.is_in_memory
        )
    return taken


async def uncaptured(
    request: ProxyRequest, runtime: Runtime, way: Way, fields: Mapping[str, str]
) -> ProxyResponse:
    """No call, as far as we know; but who is stopped is stopped."""
    refused = runtime.admission.check_stops(fields)
    if refused is not None:
        runtime.counters.refused += 1
        return refusal_response(registry.by_name("raw"), new_action_id(), refused)
    runtime.counters.passed_through += 1
    return await pass_through(request, runtime, way)


def recorded_as(request: ProxyRequest, extra_paths: tuple[str, ...]) -> WireFormat | None:
    """The wire format of a request that is recorded; None for traffic that only passes."""
    if request.method == "POST":
        wire_format = registry.for_path(request.path)
        if wire_format is not None:
            return wire_format
    elif request.method == "GET":
        wire_format = registry.for_kept_response(request.path)
        if wire_format is not None:
            return wire_format
    path = "/" + request.path.strip("/")
    if any(path.endswith("/" + extra) for extra in extra_paths):
        return registry.by_name("raw")
    return None


async def look(
    request: ProxyRequest, admission: Admission, wire_format: WireFormat, body: Body
) -> Glance | None:
    """None where nobody wants to know."""
    if not admission.inspects_bodies:
        return None
    headers = dict(request.raw_headers)
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    encoding = headers.get(b"content-encoding", b"").decode("latin-1")

    def looked() -> Glance:
        data = body.data
        if body.file is not None:
            with body.file.open("rb") as file:
                data = file.read(MAX_GLANCE) + data
        if encoding:
            data = decode([data], encoding, MAX_GLANCE).body
        return glance(data, wire_format, path=request.path, content_type=content_type)

    # A large one takes its time: other calls go on meanwhile.
    return looked() if body.file is None else await asyncio.to_thread(looked)


def request_head(
    request: ProxyRequest,
    wire_format: WireFormat,
    body: Body,
    destination: Destination,
    fields: dict[str, str],
) -> RequestHead:
    return RequestHead(
        started_ns=time.time_ns(),
        method=request.method,
        path=request.path,
        target=recorded_headers.target(request.raw_path, request.query_string),
        wire_format=wire_format.NAME,
        upstream=destination.shown,
        upstream_name=destination.name,
        provider=destination.provider,
        headers=recorded_headers.request_headers(request.raw_headers),
        ledger=fields,
        body_size=body.size,
        body_file=body.file is not None,
    )
