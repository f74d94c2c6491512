"""The proxy: take the request → spool it → forward it → spool and hand on the answer."""

from __future__ import annotations

import time

from agentledger_site.conf import Config
from capture import injected_usage, kept, wire
from capture.answers import unknown_upstream, unrecordable
from capture.body import Body, NoRoom, taken_whole
from capture.destinations import Destination, UnknownUpstream
from capture.exchange import RequestHead, new_action_id
from capture.forwarding import Call, forward
from capture.lane import ProxyAnswer, ProxyRequest
from capture.passing import pass_through
from capture.runtime import running
from capture.spool.folder import SpoolError
from capture.wire.types import WireFormat


async def proxy(request: ProxyRequest) -> ProxyAnswer:
    """Every request that is not for one of our own paths."""
    runtime = running()
    wire_format = recorded_as(request, runtime.config)
    try:
        way = runtime.destinations.of(
            request.path, request.target, request.raw_headers, wire_format
        )
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or wire.by_name("raw"), error)
    if wire_format is None:
        runtime.counters.passed_through += 1
        return await pass_through(request, runtime, way)
    if not runtime.writer.has_room() and runtime.config.on_full == "pass":
        runtime.counters.unrecorded += 1
        return await pass_through(request, runtime, way)
    action_id = new_action_id()
    body = None
    try:
        body = await taken_whole(request.receive, runtime.writer, action_id)
        asking = None
        if runtime.config.inject_usage:
            asking = injected_usage.asking(body.data, wire_format)
        head = request_head(request, wire_format, body, way.destination, asking is not None)
        entry = runtime.writer.begin(action_id, head, body.data)
    except SpoolError as error:
        taken = error.taken if isinstance(error, NoRoom) else body
        if runtime.config.on_full == "pass":
            runtime.counters.unrecorded += 1
            return await pass_through(request, runtime, way, taken)
        if taken is not None:
            taken.discard()
        runtime.counters.refused_full += 1
        return unrecordable(wire_format, action_id, error, may_retry=True)
    runtime.counters.calls += 1
    call = Call(action_id, wire_format, entry, runtime, way, asking)
    return await forward(request, call, body)


def recorded_as(request: ProxyRequest, config: Config) -> WireFormat | None:
    """The wire format of a request that is recorded; None for traffic that only passes."""
    if request.method == "POST":
        wire_format = wire.for_path(request.path)
        if wire_format is not None:
            return wire_format
    path = "/" + request.path.strip("/")
    if any(path.endswith("/" + extra) for extra in config.extra_paths):
        return wire.by_name("raw")
    return None


def request_head(
    request: ProxyRequest,
    wire_format: WireFormat,
    body: Body,
    destination: Destination,
    usage_injected: bool,
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
        ledger=kept.ledger_fields(request.raw_headers),
        body_size=body.size,
        body_file=body.file is not None,
        usage_injected=usage_injected,
    )
