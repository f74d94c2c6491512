"""The parameters of a search: the words, the fields that must contain them, and the filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.queries.call_list import STATUS
from reports.queries.parameters import (
    ChoiceParameter,
    NamesParameter,
    NumberParameter,
    Parameter,
    Parameters,
    TextParameter,
    TimeParameter,
    UsdParameter,
)
from reports.search.find import HitPage, SearchCriteria, find_hits
from reports.search.query import ACCEPTED, MAX_LENGTH, Query

DEFAULT_LIMIT = 20
MAX_LIMIT = 200

# The fields of a call's JSON that belong to each scope.
SCOPES = {
    "prompt": ("messages", "system_prompt", "raw_request"),
    "response": ("content", "reasoning", "choices", "raw_response"),
    "tool": ("tool_calls", "tool_results"),
    "agent": ("agent_name",),
    "user": ("user_id",),
    "error": ("error_detail",),
}
# The filters that an index of the ledger serves.
NARROW = frozenset(("session_id", "since"))
# The names by which sessions are found.
SESSION_NAMES = ("user_id", "agent_name", "app_id", "environment", "model_id")


class QueryParameter(Parameter):
    accepted = ACCEPTED
    schema: Mapping[str, Any] = {"type": "string", "maxLength": MAX_LENGTH}

    def parse(self, text: str) -> Query:
        return Query.parse(text)


class SearchParameters(Parameters):
    q = QueryParameter(
        required=True, help_text='words that must all occur in a call; "in quotes" a phrase'
    )
    scope = NamesParameter(SCOPES, help_text="the parts of a call that must contain the words")
    agent_name = TextParameter(lookup="agent_name", help_text="calls of this agent")
    user_id = TextParameter(lookup="user_id", help_text="calls for this user")
    app_id = TextParameter(lookup="app_id", help_text="calls of this application")
    environment = TextParameter(lookup="environment", help_text="calls of this environment")
    model_id = TextParameter(lookup="model_id", help_text="calls of this model")
    session_id = TextParameter(lookup="session__session_id", help_text="calls of this session")
    status = ChoiceParameter(tuple(STATUS), help_text="completed; with an error; refused")
    since = TimeParameter(lookup="timestamp__gte", help_text="calls made at this time or later")
    until = TimeParameter(lookup="timestamp__lt", help_text="calls made before this time")
    min_cost = UsdParameter(lookup="cost_usd__gte", help_text="calls that cost at least this (USD)")
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="maximum number of hits"
    )
    cursor = NumberParameter(
        lowest=1,
        highest=2**53,
        help_text="start of the page, taken from the previous page's Link header",
    )


def run_search(parameters: dict[str, Any]) -> HitPage:
    """Takes the values of SearchParameters."""
    return find_hits(
        criteria_of(parameters), limit=parameters["limit"], before=parameters.get("cursor")
    )


def criteria_of(parameters: dict[str, Any]) -> SearchCriteria:
    """Takes the values of SearchParameters."""
    where = SearchParameters.condition(parameters)
    if "status" in parameters:
        where &= STATUS[parameters["status"]]
    return SearchCriteria(
        parameters["q"],
        where,
        is_narrow=not NARROW.isdisjoint(parameters),
        names={name: parameters[name] for name in SESSION_NAMES if name in parameters},
        fields=[field for scope in parameters.get("scope", ()) for field in SCOPES[scope]],
    )
