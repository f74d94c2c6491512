"""The neighbours of a call as JSON: paths of the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from reports.queries.neighbours import Neighbours


def neighbours_json(session_id: str | None, neighbours: Neighbours) -> dict[str, Any]:
    """Returns the fields that `/explain` adds to a call."""
    return {
        "links": {
            "session": f"/session/{quote(session_id, safe='')}" if session_id else None,
            "parent": _path(neighbours.parent),
            "previous": _path(neighbours.previous),
            "next": _path(neighbours.next),
            "children": [f"/explain/{child}" for child in neighbours.children],
        },
        "new_messages_from": neighbours.new_messages_from,
    }


def _path(action_id: UUID | None) -> str | None:
    return None if action_id is None else f"/explain/{action_id}"
