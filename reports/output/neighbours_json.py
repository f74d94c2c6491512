"""The neighbours of a call as JSON: paths of the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from reports.addresses import root
from reports.queries.neighbours import Neighbours
from reports.session_addresses import session_segment


def neighbours_json(session_id: str | None, neighbours: Neighbours) -> dict[str, Any]:
    """Returns the fields that `/explain` adds to a call."""
    return {
        "links": {
            "session": _session_path(session_id),
            "parent": _path(neighbours.parent),
            "previous": _path(neighbours.previous),
            "next": _path(neighbours.next),
            "children": [_path(child) for child in neighbours.children],
        },
        "new_messages_from": neighbours.new_messages_from,
    }


def _path(action_id: UUID | None) -> str | None:
    return None if action_id is None else f"{root()}/explain/{action_id}"


def _session_path(session_id: str | None) -> str | None:
    return f"{root()}/session/{session_segment(session_id)}" if session_id else None
