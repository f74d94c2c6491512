"""The Search page: calls that contain the searched words, grouped by session."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.safestring import mark_safe
from rest_framework.exceptions import ValidationError

from reports.dashboard.errors import page
from reports.dashboard.links import change_query, to_api_query
from reports.json_encoding import encode
from reports.output.csv_table import Table, csv_text
from reports.queries.call_list import STATUSES
from reports.search.find import Hit, count_hits
from reports.search.hit_json import hit_json
from reports.search.parameters import SCOPES, SearchParameters, criteria_of, run_search
from reports.search.query import Query

PAGE_SIZE = 50
MAX_COUNT = 1000
FIELD_TITLES = {
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
    "raw_response": "raw response",
}
CSV_COLUMNS = (
    *("action_id", "session_id", "timestamp", "agent_name", "model_id", "status_code"),
    *("cost_usd", "field", "snippet"),
)


@page
def search(request: HttpRequest) -> HttpResponse:
    scopes = _scopes(request.GET)
    context: dict[str, Any] = {
        "given": to_api_query(request.GET),
        "statuses": STATUSES,
        "scopes": [(name, name in scopes) for name in SCOPES],
    }
    if request.GET.get("q", "").strip():
        try:
            parameters = _parameters(request)
        except ValidationError as error:
            # The search box explains a query that cannot be run; other errors have their own page.
            if not isinstance(error.detail, dict) or set(error.detail) != {"q"}:
                raise
            context["errors"] = error.detail["q"]
            return render(request, "dashboard/search.html", context, status=400)
        context |= _results(request, parameters, scopes)
    return render(request, "dashboard/search.html", context)


def _results(request: HttpRequest, parameters: dict[str, Any], scopes: list[str]) -> dict[str, Any]:
    found = run_search(parameters)
    hits = [_describe_hit(hit, parameters["q"]) for hit in found.hits]
    return {
        "sessions": [
            {"session_id": session_id, "hits": list(hits_of_session)}
            for session_id, hits_of_session in groupby(hits, key=lambda hit: hit["session_id"])
        ],
        "count": len(hits),
        "found": found,
        "next_url": change_query(request, cursor=str(found.next)) if found.next else None,
        "is_first": "cursor" not in parameters,
        "query": change_query(request, cursor=None, scope=",".join(scopes) or None),
    }


@page
def search_count(request: HttpRequest) -> HttpResponse:
    """Returns the number of matching calls as text; the first page of results loads it."""
    n, is_all = count_hits(criteria_of(_parameters(request)), limit=MAX_COUNT)
    return HttpResponse(f"{n:,}{'' if is_all else '+'} calls", content_type="text/plain")


@page
def search_json(request: HttpRequest) -> HttpResponse:
    return HttpResponse(encode(_rows(request)), content_type="application/json")


@page
def search_csv(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(csv_text(Table(CSV_COLUMNS, _rows(request))), content_type="text/csv")
    response["Content-Disposition"] = 'attachment; filename="search.csv"'
    return response


def _rows(request: HttpRequest) -> list[dict[str, Any]]:
    parameters = _parameters(request)
    return [_describe_hit(hit, parameters["q"]) for hit in run_search(parameters).hits]


def _parameters(request: HttpRequest) -> dict[str, Any]:
    given = to_api_query(request.GET)
    given.setdefault("limit", str(PAGE_SIZE))
    if "scope" in given:
        given["scope"] = ",".join(_scopes(given))
    return SearchParameters.parse(given)


def _scopes(given: QueryDict) -> list[str]:
    """Returns the scopes, which a form repeats and a link separates by commas."""
    return [name for value in given.getlist("scope") for name in value.split(",") if name]


def _describe_hit(hit: Hit, query: Query) -> dict[str, Any]:
    shown = hit_json(hit, query)
    field = shown["field"]
    shown["matched_in"] = FIELD_TITLES.get(field, field)
    shown["snippet"] = mark_safe(shown["snippet"])  # hit_json has escaped it
    return shown
