"""The beginning of every call, over HTTP and over a WebSocket: its body is looked at, it is
admitted or refused, and its request is spooled."""

from __future__ import annotations

from dataclasses import dataclass

from capture.admission.body_inspection import inspect_body
from capture.admission.charge import Charge
from capture.admission.decision import NOTHING_APPLIES, Admitted, Refused
from capture.deletion_count import deletion_count
from capture.exchange import RequestHead
from capture.proxy import recorded_headers, usage_injection
from capture.proxy.forwarded_call import ForwardedCall
from capture.proxy.http_messages import ProxyResponse
from capture.proxy.incoming_call import IncomingCall
from capture.proxy.refusals import refuse, warnings_as_json
from capture.proxy.request_body import RequestBody
from capture.proxy.runtime import Runtime
from capture.spool.folder import SpoolError
from capture.wire.registry import find_fetch
from capture.wire.request_summary import RequestSummary


@dataclass(slots=True)
class RefusedCall:
    """A call that must not go upstream. `response` is what the agent gets over HTTP."""

    refused: Refused
    response: ProxyResponse


@dataclass(slots=True)
class Assessment:
    """A call's record as far as the request goes, and whether it may go upstream."""

    head: RequestHead
    summary: RequestSummary | None  # None: no setting needs a look at bodies
    decision: Admitted | Refused
    charge: Charge | None = None  # None: no budget applies


class NotSpooled(SpoolError):
    """An admitted call has no room in the spool. The caller settles or releases its charge."""

    def __init__(self, reason: SpoolError, charge: Charge | None) -> None:
        super().__init__(str(reason))
        self.summary = reason.summary
        self.charge = charge


async def begin_call(
    runtime: Runtime, call: IncomingCall, body: RequestBody
) -> ForwardedCall | RefusedCall:
    """Returns an admitted call once its request is in the spool, or a refused one once its refusal
    is. Raises NotSpooled."""
    assessment = await assess(runtime, call, body)
    head, decision = assessment.head, assessment.decision
    if isinstance(decision, Refused):
        response = await refuse(runtime, call, head, body, decision, assessment.summary)
        return RefusedCall(decision, response)
    body_with_usage = None
    if runtime.config.inject_usage:
        body_with_usage = usage_injection.request_usage(body.data, call.wire_format)
        head.usage_injected = body_with_usage is not None
    try:
        entry = runtime.writer.begin(call.action_id, head, body.data)
    except SpoolError as error:
        raise NotSpooled(error, assessment.charge) from error
    runtime.counters.calls += 1
    return ForwardedCall(
        call, runtime, entry, assessment.charge, decision.remaining_usd, body_with_usage
    )


async def assess(runtime: Runtime, call: IncomingCall, body: RequestBody) -> Assessment:
    """Decides whether a call may go upstream; budgets hold what it is expected to cost from here
    on."""
    admission = runtime.admission
    summary = None
    if admission.inspects_bodies:
        summary = await inspect_body(body, call.headers, call.wire_format, call.path)
    head = request_head(call, body)
    if call.only_reads:
        return assess_fetch(runtime, call, head, summary)
    admission_request = admission.new_request(
        call.action_id, call.fields, summary, call.wire_format, call.route.destination.provider
    )
    decision = await admission.admit(admission_request, call.fields, summary)
    head.budget_warning = warnings_as_json(decision.warnings)
    assessment = Assessment(head, summary, decision)
    if isinstance(decision, Admitted):
        assessment.charge = runtime.limiter.new_charge(
            admission_request, head, body.data, is_complete=body.is_in_memory
        )
    return assessment


def assess_fetch(
    runtime: Runtime, call: IncomingCall, head: RequestHead, summary: RequestSummary | None
) -> Assessment:
    """Only stops apply to a call that reads what another one asked for; if budgets wait for that,
    they are charged when it comes."""
    refused = runtime.admission.check_stops(call.fields)
    if refused is not None:
        return Assessment(head, summary, refused)
    fetch = find_fetch(call.method, call.path)
    charge = runtime.limiter.fetch_charge(fetch.id) if fetch is not None else None
    return Assessment(head, summary, NOTHING_APPLIES, charge)


def request_head(call: IncomingCall, body: RequestBody) -> RequestHead:
    destination = call.route.destination
    return RequestHead(
        started_ns=deletion_count.start_call(),
        method=call.method,
        path=call.path,
        target=recorded_headers.target(call.target),
        wire_format=call.wire_format.NAME,
        upstream=destination.url,
        upstream_name=destination.name,
        provider=destination.provider,
        headers=recorded_headers.request_headers(call.headers),
        ledger=call.fields,
        body_size=body.size,
        has_body_file=body.file is not None,
        n_deletions=deletion_count.known,
    )
