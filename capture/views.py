"""The proxy, top to bottom: identify a call, read its body, begin it, forward it."""

from __future__ import annotations

from capture.admission.decision import Refused
from capture.exchange import new_action_id
from capture.proxy.begin_call import NotSpooled, RefusedCall, assess, begin_call
from capture.proxy.browser_requests import BrowserRequest, find_browser_request, find_refusal
from capture.proxy.browser_responses import add_headers, allow_preflight, show_refusal
from capture.proxy.forward import forward
from capture.proxy.http_messages import ProxyRequest, ProxyResponse
from capture.proxy.incoming_call import EntryRefused, IncomingCall, identify_call
from capture.proxy.passthrough import forward_file, pass_through, refuse_unrecordable
from capture.proxy.refusals import refusal_response, stop_response
from capture.proxy.request_body import NoRoom, RequestBody, read_beginning, read_body
from capture.proxy.responses import unknown_upstream
from capture.proxy.runtime import Runtime, ensure_running
from capture.upstream.routing import UnknownUpstream
from capture.wire import registry
from capture.wire.paths import find_by_reading
from capture.wire.types import WireFormat

RAW = registry.by_name("raw")


async def proxy(request: ProxyRequest) -> ProxyResponse:
    """Serves every request that is not for one of AgentLedger's own paths."""
    browser_request = find_browser_request(request.method, request.raw_headers)
    if browser_request is None:
        return await serve(request)
    return await serve_browser(request, browser_request)


async def serve_browser(request: ProxyRequest, browser_request: BrowserRequest) -> ProxyResponse:
    runtime = ensure_running()
    is_allowed = runtime.allowed_origins.include(browser_request.origin)
    refused = find_refusal(browser_request, is_allowed=is_allowed)
    _, wire_format = read_path(request, runtime.config.extra_paths)
    if refused is not None:
        runtime.counters.refused_pages += 1
        response = refusal_response(wire_format or RAW, new_action_id(), refused)
    elif is_allowed and browser_request.is_preflight:
        response = allow_preflight(browser_request)
    else:
        response = await serve(request)
        if not is_allowed:
            show_refusal(browser_request, response, wire_format or RAW)
    add_headers(browser_request, response, is_allowed=is_allowed)
    return response


async def serve(request: ProxyRequest) -> ProxyResponse:
    runtime = ensure_running()
    path, wire_format = read_path(request, runtime.config.extra_paths)
    try:
        call = identify_call(
            runtime,
            method=request.method,
            path=path,
            target=request.target,
            headers=request.raw_headers,
            wire_format=wire_format,
        )
    except EntryRefused as error:
        return refusal_response(wire_format or RAW, new_action_id(), error.refused)
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or RAW, error)
    fetch = registry.find_fetch(request.method, path)
    call.only_reads = request.method == "GET" or fetch is not None
    if wire_format is None:
        return await forward_other_traffic(request, runtime, call)
    if fetch is not None and registry.may_be_any_file(fetch, path):
        return await forward_file(request, runtime, call)
    if not runtime.writer.has_room() and runtime.config.on_full == "pass":
        return await forward_unrecorded(request, runtime, call)
    return await record_and_forward(request, runtime, call)


def read_path(request: ProxyRequest, extra_paths: tuple[str, ...]) -> tuple[str, WireFormat | None]:
    """Returns the path of a request, and its wire format if it is recorded. A path that can be read
    in several ways is a call if one of them is: an upstream may read it that way too."""
    return read_path_of(request.method.upper(), request.path, extra_paths)


def read_path_of(
    method: str, path: str, extra_paths: tuple[str, ...]
) -> tuple[str, WireFormat | None]:
    return find_by_reading(path, lambda reading: format_to_record(method, reading, extra_paths))


def format_to_record(method: str, path: str, extra_paths: tuple[str, ...]) -> WireFormat | None:
    """Returns the wire format of a request that is recorded; None for other traffic."""
    if method == "POST":
        wire_format = registry.for_path(path)
        if wire_format is not None:
            return wire_format
    if fetch := registry.find_fetch(method, path):
        return fetch.wire_format
    path = "/" + path.strip("/").lower()
    if any(path.endswith(f"/{extra.lower()}") for extra in extra_paths):
        return RAW
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
