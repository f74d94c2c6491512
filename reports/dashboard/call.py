"""The page of one call: new input, response, cost, policy, origin and integrity."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from rest_framework.exceptions import ValidationError

from capture.models import Binary, Call
from reports.addresses import root
from reports.analysis.call_view import names_of_tools_offered, response_message
from reports.analysis.message_shares import message_shares
from reports.dashboard.call_facts import (
    cost_lines,
    curl_command,
    input_usd,
    tokens_per_second,
)
from reports.dashboard.call_messages import view_history
from reports.dashboard.calls_page import CallsPageParameters, find_adjacent_calls
from reports.dashboard.errors import not_found, page
from reports.dashboard.links import change_query
from reports.output.call_json import FIELDS, call_json
from reports.queries import records
from reports.queries.budget_usage import budgets_of
from reports.queries.neighbours import Neighbours, find_neighbours
from reports.queries.parameters import (
    ChoiceParameter,
    FlagParameter,
    Parameters,
    TextParameter,
    UuidParameter,
)
from reports.queries.records import Record, Selection
from reports.verification.some_calls import leaf_of, verify_calls

VIEWS = ("new", "full", "raw")
# Characters of one text: as many as a page shows at first, and with `all`.
TEXT_LIMIT, MAX_TEXT_LIMIT = 64_000, 10_000_000
_DIGEST = re.compile("[0-9a-f]{64}")
SHOWN_FIELDS = frozenset(FIELDS) - {"messages", "raw_request", "raw_response"}
# The texts of longer bodies are not read for a page that does not show them.
LONG_BODY = 1024 * 1024
WITHOUT_TEXTS = Selection(texts=False, raw=False)


class CallParameters(Parameters):
    view = ChoiceParameter(VIEWS, help_text="new messages, the full history, or the bytes")
    cmp = UuidParameter(help_text="action_id of the call to compare with")
    all = FlagParameter(help_text="true: show the complete texts")
    verify = FlagParameter(help_text="true: verify the call against the log")

    # `from` is a keyword, so it cannot be declared as an attribute.
    vars()["from"] = TextParameter(help_text="query of the list to return to")


@page
def call(request: HttpRequest, action_id: UUID) -> HttpResponse:
    parameters = CallParameters.parse(request.GET)
    view = parameters.get("view", "new")
    record = _find_record(action_id, view)
    if record is None:
        return not_found(request, f"call {action_id}")
    limit = MAX_TEXT_LIMIT if parameters.get("all") else TEXT_LIMIT
    shown = call_json(record, SHOWN_FIELDS)
    context: dict[str, Any] = {
        **_facts(request, record, shown, limit),
        **_navigation(request, record, shown, parameters.get("from", "")),
        "call": shown,
        "row": record.row,
        "view": view,
        "views": [(name, change_query(request, view=name)) for name in VIEWS],
        "all_url": change_query(request, all="true"),
        "limit": limit,
        "response": response_message(record),
        "results": shown["tool_results"],
        **_evidence(request, record, is_asked=bool(parameters.get("verify"))),
        "thumbnails": {bytes(one.digest).hex() for one in record.binaries if one.thumbnail},
    }
    if view == "raw":
        context |= _raw_texts(record, limit)
    else:
        context |= view_history(record, view, parameters.get("cmp"))
    if view == "full":
        context["shares"] = message_shares(record, context["prompt"], input_usd(shown))
    return render(request, "dashboard/call.html", context)


@page
def thumbnail(request: HttpRequest, action_id: UUID, digest: str) -> HttpResponse:
    scope = Call.objects.not_deleted().filter(pk=action_id).values_list("scope", flat=True).first()
    found = None
    if scope is not None and _DIGEST.fullmatch(digest):
        binaries = Binary.objects.filter(scope=scope, digest=bytes.fromhex(digest))
        found = binaries.values_list("thumbnail", flat=True).first()
    if found is None:
        return HttpResponse(status=404)
    return HttpResponse(bytes(found), content_type="image/webp")


def _find_record(action_id: UUID, view: str) -> Record | None:
    """Reads the texts of long bodies only for the view that shows them."""
    is_long = Q(request_bytes__gt=LONG_BODY) | Q(response_bytes__gt=LONG_BODY)
    needs_none = view != "raw" and Call.objects.filter(is_long, pk=action_id).exists()
    return records.find_record(action_id, WITHOUT_TEXTS if needs_none else records.EVERYTHING)


def _facts(
    request: HttpRequest, record: Record, shown: dict[str, Any], limit: int
) -> dict[str, Any]:
    return {
        "costs": cost_lines(shown),
        "budgets": budgets_of(record.row),
        "rate": tokens_per_second(shown),
        "offered": names_of_tools_offered(record),
        "curl": curl_command(request, record, limit) if "frame" in record.row else None,
    }


def _evidence(request: HttpRequest, record: Record, *, is_asked: bool) -> dict[str, Any]:
    index = record.row["log_index"]
    return {
        "leaf": leaf_of(index) if index is not None else None,
        "verified": verify_calls([record.row["action_id"]]) if is_asked else None,
        "verify_url": change_query(request, verify="true"),
    }


def _navigation(
    request: HttpRequest, record: Record, shown: dict[str, Any], list_query: str
) -> dict[str, Any]:
    neighbours = find_neighbours(record)
    return {
        "links": {
            "parent": _call_url(neighbours.parent),
            "children": [_call_url(child) for child in neighbours.children],
        },
        "adjacent": _adjacent_calls(shown, list_query, neighbours),
        "from_list": f"{root()}/{list_query}" if list_query.startswith("?") else None,
    }


def _adjacent_calls(
    shown: dict[str, Any], list_query: str, neighbours: Neighbours
) -> dict[str, str | None]:
    """Returns links to the calls `before` and `after` this one in the list that `list_query`
    describes; without a list, in the session, newest first."""
    if not list_query.startswith("?"):
        return {"before": _call_url(neighbours.next), "after": _call_url(neighbours.previous)}
    try:
        parameters = CallsPageParameters.parse(_list_parameters(list_query))
    except ValidationError:
        return {}
    query = urlencode({"from": list_query})
    adjacent = zip(("before", "after"), find_adjacent_calls(parameters, shown), strict=True)
    return {name: f"{_call_url(action_id)}?{query}" for name, action_id in adjacent if action_id}


def _list_parameters(list_query: str) -> QueryDict:
    """Returns the parameters that select calls, without those that only say how they are shown."""
    query = QueryDict(list_query[1:], mutable=True)
    for name in list(query):
        if name not in CallsPageParameters.names():
            del query[name]
    return query


def _call_url(action_id: UUID | None) -> str | None:
    return f"{root()}/dashboard/calls/{action_id}/" if action_id else None


def _raw_texts(record: Record, limit: int) -> dict[str, Any]:
    """Returns the beginnings of both bodies, one character more than are shown."""
    body = records.rebuild_request(record)
    text = record.request()
    request = body or (text.data if text else b"")
    response = record.response().data
    return {
        "is_exact": body is not None,
        "request_text": _beginning(request, limit),
        "request_size": len(request),
        "response_text": _beginning(response, limit),
        "response_size": len(response),
        "request_headers": record.row["heads"]["request"] or [],
        "response_headers": record.row["heads"]["response"] or [],
    }


def _beginning(body: bytes, limit: int) -> str:
    # A character takes four bytes at most.
    return body[: 4 * (limit + 1)].decode(errors="replace")
