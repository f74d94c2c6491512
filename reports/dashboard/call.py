"""One call explained: what was newly asked, what came back, what it cost and why, where it came
from, and what proves it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import Field, UUIDField

from capture.models import Binary, Call
from reports.analysis.message_diff import Step, compared
from reports.analysis.message_shares import shares
from reports.analysis.message_view import Piece, Turn, pretty_text, turn_of
from reports.analysis.transcript import SYSTEM
from reports.dashboard.call_facts import (
    cost_lines,
    curl,
    tokens_per_second,
    tools_offered,
    usd_in,
)
from reports.dashboard.calls_page import CallsPageParameters, neighbours
from reports.dashboard.errors import not_found, page
from reports.dashboard.links import with_parameters
from reports.output.call_json import call_json
from reports.queries import records
from reports.queries.budget_usage import budgets_of
from reports.queries.call_list import ShortCall, short_calls
from reports.queries.neighbours import Neighbours, find_neighbours
from reports.queries.parameters import Choice, Flag, Parameters, Text
from reports.queries.records import Record

VIEWS = ("new", "full", "raw")
# Characters of one text that are shown, unless all are asked for.
SHOWN, MOST_SHOWN = 64_000, 10_000_000
_DIGEST = re.compile("[0-9a-f]{64}")
# A history may begin with several.
MOST_PROMPTS = 3


class CallParameters(Parameters):
    view = Choice(VIEWS, help_text="new messages, the full history, or the bytes")
    cmp = UUIDField(required=False, help_text="the call to compare with")
    all = Flag(help_text="texts are not cut")

    def get_fields(self) -> dict[str, Field[Any, Any, Any, Any]]:
        # `from` is a word of the language.
        return {**super().get_fields(), "from": Text(help_text="the list one comes from")}


@page
def call(request: HttpRequest, action_id: UUID) -> HttpResponse:
    asked = CallParameters.of_query(request.GET)
    record = records.record(action_id)
    if record is None:
        return not_found(request, f"call {action_id}")
    view = asked.get("view", "new")
    limit = MOST_SHOWN if asked.get("all") else SHOWN
    told = call_json(record)
    around = find_neighbours(record)
    context: dict[str, Any] = {
        "call": told,
        "row": record.row,
        "view": view,
        "views": [(name, with_parameters(request, view=name)) for name in VIEWS],
        "all_url": with_parameters(request, all="true"),
        "limit": limit,
        "links": _links(around),
        "beside": _beside(request, told, asked.get("from"), around),
        "from_list": f"/{asked['from']}" if asked.get("from", "").startswith("?") else None,
        "costs": cost_lines(told),
        "budgets": budgets_of(record.row),
        "rate": tokens_per_second(told),
        "offered": tools_offered(record),
        "response": _response(record),
        "results": told["tool_results"],
        "thumbnails": {bytes(one.digest).hex() for one in record.binaries if one.thumbnail},
        "curl": curl(request, record, limit),
    }
    if view == "raw":
        context |= _raw(record, limit)
    else:
        context |= _history(record, view, asked.get("cmp"))
    if view == "full":
        context["shares"] = shares(record, context["prompt"], usd_in(told))
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


def _history(record: Record, view: str, with_id: UUID | None) -> dict[str, Any]:
    messages = record.messages
    prompt = record.prompt.text.data.decode(errors="replace") if record.prompt else None
    if any(turn_of(message).who in SYSTEM for message in messages[:MOST_PROMPTS]):
        prompt = None  # it is one of the messages
    other = _other(record, with_id) if view == "new" else None
    theirs = records.record(other["action_id"]) if other else None
    steps = compared(messages, theirs.messages if theirs else [])
    same_prompt = theirs is not None and record.row["prompt_ref"] == theirs.row["prompt_ref"]
    return {
        "prompt": Turn("system prompt", [Piece("text", prompt)]) if prompt else None,
        "prompt_is_same": same_prompt,
        "other": other,
        "steps": [_step(step, messages) for step in steps],
        "n_messages": len(messages),
    }


def _step(step: Step, messages: list[bytes]) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "count": step.end - step.begin,
        "number": step.begin + 1,
        "turns": [turn_of(message) for message in messages[step.begin : step.end]],
        "removed": turn_of(step.removed) if step.kind == "removed" else None,
        "diff": [(line[:1], line[1:]) for line in step.diff],
    }


def _other(record: Record, with_id: UUID | None) -> ShortCall | None:
    """The call to compare with: the one asked for, else the same agent's before this one."""
    if with_id is not None:
        found = short_calls(Call.objects.not_deleted().filter(pk=with_id))
        if not found:
            raise ValidationError({"cmp": ["the action_id of a call that is on record"]})
        return found[0]
    row = record.row
    if row["session_id"] is None:
        return None
    siblings = Call.objects.filter(session=row["scope"], deleted_at=None)
    same = records.before(siblings, row).filter(agent_name=row["agent_name"])
    return next(iter(short_calls(same.order_by("-timestamp", "-seq")[:1])), None)


def _response(record: Record) -> Turn:
    row = record.row
    pieces = [Piece("thinking", row["reasoning"])] if row["reasoning"] else []
    pieces += [Piece("text", row["content"])] if row["content"] else []
    pieces += [
        Piece("tool_call", pretty_text(one["arguments"]), one["name"], one["tool_call_id"])
        for one in record.tool_calls
    ]
    if row["choices"]:
        choices = orjson.dumps(row["choices"], option=orjson.OPT_INDENT_2).decode()
        pieces.append(Piece("json", choices))
    return Turn("response", pieces)


def _raw(record: Record, limit: int) -> dict[str, Any]:
    body = records.request_bytes(record)
    text = record.request()
    return {
        "is_exact": body is not None,
        "request_text": (body or (text.data if text else b"")).decode(errors="replace"),
        "response_text": record.response().data.decode(errors="replace"),
        "request_headers": record.row["heads"]["request"] or [],
        "response_headers": record.row["heads"]["response"] or [],
    }


def _links(around: Neighbours) -> dict[str, Any]:
    return {
        "parent": _page_of(around.parent),
        "children": [_page_of(child) for child in around.children],
    }


def _beside(
    request: HttpRequest, told: dict[str, Any], list_query: str | None, around: Neighbours
) -> dict[str, str | None]:
    """The calls before and after this one in the list that the reader came from; without one, in
    its session, the newest first."""
    if not list_query or not list_query.startswith("?"):
        return {"before": _page_of(around.next), "after": _page_of(around.previous)}
    try:
        asked = CallsPageParameters.of_query(_known(list_query))
    except ValidationError:
        return {}
    kept = urlencode({"from": list_query})
    return {
        name: f"/dashboard/calls/{id_}/?{kept}"
        for name, id_ in zip(("before", "after"), neighbours(asked, told), strict=True)
        if id_
    }


def _known(list_query: str) -> QueryDict:
    """The list's own parameters, without those that say how it is shown."""
    query = QueryDict(list_query[1:], mutable=True)
    for name in list(query):
        if name not in CallsPageParameters().fields:
            del query[name]
    return query


def _page_of(action_id: UUID | None) -> str | None:
    return f"/dashboard/calls/{action_id}/" if action_id else None
