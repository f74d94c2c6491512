"""The proxy: take the request → admit it → spool it → forward it → spool and hand on the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from agentledger_site.conf import Config
from capture import injected_usage, kept, wire
from capture.admission.admit import Admission, asking
from capture.admission.decision import BudgetWarning, Refused
from capture.admission.refusal import refusal_answer
from capture.answers import unknown_upstream, unrecordable
from capture.body import Body, NoRoom, in_memory, taken_whole
from capture.charge import charge_of
from capture.destinations import Destination, UnknownUpstream, Way
from capture.exchange import RequestHead, new_action_id
from capture.forwarding import Call, forward
from capture.lane import ProxyAnswer, ProxyRequest
from capture.passing import pass_through
from capture.refusing import refuse
from capture.runtime import Runtime, running
from capture.spool.folder import SpoolError
from capture.wire.encoding import decode
from capture.wire.glance import Glance, glance
from capture.wire.types import JSON, WireFormat

# What is looked at of a body: a longer one names its model before that, or it cannot be told.
MAX_GLANCE = 64 * 1024 * 1024


async def proxy(request: ProxyRequest) -> ProxyAnswer:
    """Every request that is not for one of our own paths."""
    runtime = running()
    wire_format = recorded_as(request, runtime.config)
    no_entry = runtime.admission.at_the_door(request.raw_headers)
    if no_entry is not None:
        runtime.counters.refused_keys += 1
        return refusal_answer(wire_format or wire.by_name("raw"), new_action_id(), no_entry)
    try:
        way = runtime.destinations.of(
            request.path, request.target, request.raw_headers, wire_format
        )
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or wire.by_name("raw"), error)
    fields = kept.ledger_fields(request.raw_headers)
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
) -> ProxyAnswer:
    action_id, admission = new_action_id(), runtime.admission
    body = charge = None
    try:
        body = await taken_whole(request.receive, runtime.writer, action_id)
        looked = await look(request, admission, wire_format, body)
        decision = await admission.admit(action_id, fields, looked)
        head = request_head(request, wire_format, body, way.destination, fields)
        if isinstance(decision, Refused):
            return await refuse(runtime, action_id, head, body, decision, looked)
        head.budget_warning = told(decision.warnings)
        charge = charge_of(admission, decision, asking(action_id, fields, looked), head, body)
        more = None
        if runtime.config.inject_usage:
            more = injected_usage.asking(body.data, wire_format)
            head.usage_injected = more is not None
        entry = runtime.writer.begin(action_id, head, body.data)
    except SpoolError as error:
        if charge is not None:
            await charge.release()
        taken = error.taken if isinstance(error, NoRoom) else body
        if runtime.config.on_full == "pass":
            return await unrecorded(request, runtime, way, wire_format, fields, taken)
        if taken is not None:
            taken.discard()
        runtime.counters.refused_full += 1
        return unrecordable(wire_format, action_id, error, may_retry=True)
    runtime.counters.calls += 1
    call = Call(
        action_id, wire_format, entry, runtime, way, charge, decision.remaining_usd, asking=more
    )
    if runtime.config.budget_midstream and decision.remaining_usd is not None:
        call.most_usd = decision.remaining_usd + decision.reserved_usd
    return await forward(request, call, body)


async def unrecorded(
    request: ProxyRequest,
    runtime: Runtime,
    way: Way,
    wire_format: WireFormat,
    fields: dict[str, str],
    taken: Body | None = None,
) -> ProxyAnswer:
    """The spool is full, and the operator lets calls go on. What he forbids stays forbidden."""
    runtime.counters.unrecorded += 1
    action_id, admission = new_action_id(), runtime.admission
    if taken is None and admission.looks_at_bodies:
        taken = await in_memory(request.receive)
    looked = await look(request, admission, wire_format, taken) if taken else None
    decision = await admission.admit(action_id, fields, looked)
    if isinstance(decision, Refused):
        runtime.counters.refused += 1
        if taken is not None:
            taken.discard()
        return refusal_answer(wire_format, action_id, decision)
    charge = None
    if taken is not None:
        head = request_head(request, wire_format, taken, way.destination, fields)
        charge = charge_of(admission, decision, asking(action_id, fields, looked), head, taken)
    return await pass_through(request, runtime, way, taken, charge)


async def uncaptured(
    request: ProxyRequest, runtime: Runtime, way: Way, fields: Mapping[str, str]
) -> ProxyAnswer:
    """No call, as far as we know; but who is stopped is stopped."""
    refused = runtime.admission.stopped(fields)
    if refused is not None:
        runtime.counters.refused += 1
        return refusal_answer(wire.by_name("raw"), new_action_id(), refused)
    runtime.counters.passed_through += 1
    return await pass_through(request, runtime, way)


def recorded_as(request: ProxyRequest, config: Config) -> WireFormat | None:
    """The wire format of a request that is recorded; None for traffic that only passes."""
    if request.method == "POST":
        wire_format = wire.for_path(request.path)
        if wire_format is not None:
            return wire_format
    elif request.method == "GET":
        wire_format = wire.for_kept_answer(request.path)
        if wire_format is not None:
            return wire_format
    path = "/" + request.path.strip("/")
    if any(path.endswith("/" + extra) for extra in config.extra_paths):
        return wire.by_name("raw")
    return None


async def look(
    request: ProxyRequest, admission: Admission, wire_format: WireFormat, body: Body
) -> Glance | None:
    """None where nobody wants to know."""
    if not admission.looks_at_bodies:
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
        target=kept.target(request.raw_path, request.query_string),
        wire_format=wire_format.NAME,
        upstream=destination.shown,
        upstream_name=destination.name,
        provider=destination.maker,
        headers=kept.request_headers(request.raw_headers),
        ledger=fields,
        body_size=body.size,
        body_file=body.file is not None,
    )


def told(warnings: Sequence[BudgetWarning]) -> list[dict[str, JSON]] | None:
    """As the record tells them; USD as exact text."""
    return [
        {
            "budget": warning.budget,
            "key": warning.key,
            "spent_usd": f"{warning.spent_usd:f}",
            "limit_usd": f"{warning.limit_usd:f}" if warning.limit_usd is not None else None,
        }
        for warning in warnings
    ] or None
