"""The proxy, top to bottom: identify a call, read its body, begin it, forward it."""

from __future__ import annotations

from capture.admission.decision import Refused
from capture.exchange import new_action_id
from capture.proxy.begin_call import NotSpooled, RefusedCall, assess, begin_call
from capture.proxy.forward import forward
from capture.proxy.http_messages import ProxyRequest, ProxyResponse
from capture.proxy.incoming_call import EntryRefused, IncomingCall, identify_call
from capture.proxy.passthrough import pass_through
from capture.proxy.refusals import refusal_response, stop_response
from capture.proxy.request_body import NoRoom, RequestBody, read_beginning, read_body
from capture.proxy.responses import unknown_upstream, unrecordable
from capture.proxy.runtime import Runtime, ensure_running
from capture.upstream.routing import UnknownUpstream
from capture.wire import registry
from capture.wire.types import WireFormat


async def proxy(request: ProxyRequest) -> ProxyResponse:
    """Serves every request that is not for one of AgentLedger's own paths."""
    runtime = ensure_running()
    wire_format = format_to_record(request, runtime.config.extra_paths)
    try:
        call = identify_call(
            runtime,
            method=request.method,
            path=request.path,
            target=request.target,
            headers=request.raw_headers,
            wire_format=wire_format,
        )
    except EntryRefused as error:
        error_format = wire_format or registry.by_name("raw")
        return refusal_response(error_format, new_action_id(), error.refused)
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or registry.by_name("raw"), error)
    call.only_reads = request.method == "GET"
    if wire_format is None:
        return await forward_other_traffic(request, runtime, call)
    if not runtime.writer.has_room() and runtime.config.on_full == "pass":
        return await forward_unrecorded(request, runtime, call)
    return await record_and_forward(request, runtime, call)


def format_to_record(request: ProxyRequest, extra_paths: tuple[str, ...]) -> WireFormat | None:
    """Returns the wire format of a request that is recorded; None for other traffic."""
    if request.method == "POST":
        wire_format = registry.for_path(request.path)
        if wire_format is not None:
            return wire_format
    elif request.method == "GET":
        wire_format = registry.for_stored_response(request.path)
        if wire_format is not None:
            return wire_format
    path = "/" + request.path.strip("/")
    if any(path.endswith("/" + extra) for extra in extra_paths):
        return registry.by_name("raw")
    return None


async def record_and_forward(
    request: ProxyRequest, runtime: Runtime, call: IncomingCall
) -> ProxyResponse:
    may_pass = runtime.config.on_full == "pass"
    try:
        body = await read_body(request.receive, runtime.writer, call.action_id)
    except NoRoom as error:
        if may_pass:
            return await forward_unrecorded(request, runtime, call, error.received)
        error.received.discard()
        return refuse_unrecordable(runtime, call, error)
    try:
        begun = await begin_call(runtime, call, body)
    except NotSpooled as error:
        if may_pass:
            runtime.counters.unrecorded += 1
            return await pass_through(request, runtime, call, body, error.charge)
        if error.charge is not None:
            await error.charge.release()
        body.discard()
        return refuse_unrecordable(runtime, call, error)
    if isinstance(begun, RefusedCall):
        return begun.response
    return await forward(request, begun, body)


def refuse_unrecordable(runtime: Runtime, call: IncomingCall, error: Exception) -> ProxyResponse:
    runtime.counters.refused_full += 1
    return unrecordable(call.wire_format, call.action_id, error, may_retry=True)


async def forward_unrecorded(
    request: ProxyRequest, runtime: Runtime, call: IncomingCall, body: RequestBody | None = None
) -> ProxyResponse:
    """Forwards a call that the spool has no room for. What the operator forbids is refused all the
    same."""
    runtime.counters.unrecorded += 1
    if body is None and runtime.admission.inspects_bodies:
        body = await read_beginning(request.receive)
    assessment = await assess(runtime, call, body or RequestBody(b"", 0))
    if isinstance(assessment.decision, Refused):
        runtime.counters.refused += 1
        if body is not None:
            body.discard()
        return refusal_response(call.wire_format, call.action_id, assessment.decision)
    return await pass_through(request, runtime, call, body, assessment.charge)


async def forward_other_traffic(
    request: ProxyRequest, runtime: Runtime, call: IncomingCall
) -> ProxyResponse:
    """Forwards what is no call, as far as we know. An agent that is stopped is stopped here too."""
    refusal = stop_response(runtime, call)
    if refusal is not None:
        return refusal
    runtime.counters.passed_through += 1
    return await pass_through(request, runtime, call)
