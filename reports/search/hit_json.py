"""A search hit as JSON."""

from __future__ import annotations

from typing import Any

from reports.search.find import SHORT_FORM, Hit
from reports.search.query import Query
from reports.search.snippets import field_and_snippet


def hit_json(hit: Hit, query: Query) -> dict[str, Any]:
    """Returns the call's short form with the field that matched and a snippet, which is HTML."""
    field, snippet = field_and_snippet(hit.document, query)
    call = hit.call
    return {
        **{name: getattr(call, name) for name in SHORT_FORM},
        "session_id": call.session.session_id if call.session else None,
        "field": field,
        "snippet": snippet,
    }
