"""Search: calls by what was said in them, grouped by session."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.safestring import mark_safe
from rest_framework.exceptions import ValidationError

from reports.dashboard.errors import page
from reports.dashboard.links import as_api, with_parameters
from reports.json_encoding import encode
from reports.output.csv_table import Table, csv_text
from reports.queries.call_list import STATUSES
from reports.search.find import Hit, count
from reports.search.hit_json import hit_json
from reports.search.parameters import SCOPES, SearchParameters, criteria_of, run_search
from reports.search.query import Query

AT_ONCE = 50
COUNTED = 1000
MATCHED_IN = {
    "messages": "prompt",
    "tool_results": "tool result",
    "system_prompt": "system prompt",
    "content": "response",
    "reasoning": "reasoning",
    "tool_calls": "tool call",
    "choices": "further choice",
    "error_detail": "error",
    "agent_name": "agent",
    "user_id": "user",
    "app_id": "application",
    "model_id": "model",
    "session_id": "session",
    "action_id": "call",
    "raw_request": "raw request",
    "raw_response": "raw answer",
}
COLUMNS = (
    *("action_id", "session_id", "timestamp", "agent_name", "model_id", "status_code"),
    *("cost_usd", "field", "snippet"),
)


@page
def search(request: HttpRequest) -> HttpResponse:
    scopes = _scopes(request.GET)
    context: dict[str, Any] = {
        "given": as_api(request.GET),
        "statuses": STATUSES,
        "scopes": [(name, name in scopes) for name in SCOPES],
    }
    if request.GET.get("q", "").strip():
        try:
            asked = _asked(request)
        except ValidationError as error:
            if not isinstance(error.detail, dict) or set(error.detail) != {"q"}:
                raise
            context["wrong"] = error.detail["q"]
            return render(request, "dashboard/search.html", context, status=400)
        page_ = run_search(asked)
        hits = [_hit(hit, asked["q"]) for hit in page_.hits]
        sessions = [
            {"session_id": session_id, "hits": list(some)}
            for session_id, some in groupby(hits, key=lambda hit: hit["session_id"])
        ]
        context |= {
            "sessions": sessions,
            "count": len(hits),
            "found": page_,
            "next_url": with_parameters(request, cursor=str(page_.next)) if page_.next else None,
            "is_first": "cursor" not in asked,
            "query": with_parameters(request, cursor=None, scope=",".join(scopes) or None),
        }
    return render(request, "dashboard/search.html", context)


@page
def search_count(request: HttpRequest) -> HttpResponse:
    """How many calls there are, for the page that shows the first of them."""
    n, is_all = count(criteria_of(_asked(request)), most=COUNTED)
    return HttpResponse(f"{n:,}{'' if is_all else '+'} calls", content_type="text/plain")


@page
def search_json(request: HttpRequest) -> HttpResponse:
    asked = _asked(request)
    rows = [_hit(hit, asked["q"]) for hit in run_search(asked).hits]
    return HttpResponse(encode(rows), content_type="application/json")


@page
def search_csv(request: HttpRequest) -> HttpResponse:
    asked = _asked(request)
    rows = [_hit(hit, asked["q"]) for hit in run_search(asked).hits]
    response = HttpResponse(csv_text(Table(COLUMNS, rows)), content_type="text/csv")
    response["Content-Disposition"] = 'attachment; filename="search.csv"'
    return response


def _asked(request: HttpRequest) -> dict[str, Any]:
    given = as_api(request.GET)
    given.setdefault("limit", str(AT_ONCE))
    if "scope" in given:
        given["scope"] = ",".join(_scopes(given))
    return SearchParameters.of_query(given)


def _scopes(given: QueryDict) -> list[str]:
    """A form gives each checked one by itself."""
    return [name for value in given.getlist("scope") for name in value.split(",") if name]


def _hit(hit: Hit, query: Query) -> dict[str, Any]:
    told = hit_json(hit, query)
    field = told["field"]
    told["matched_in"] = MATCHED_IN.get(field, field)
    told["snippet"] = mark_safe(told["snippet"])  # it is escaped where it is made
    return told
