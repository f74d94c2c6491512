"""Scopes: what calls have in common that share their messages, and whose tool results belong to one
another. The scope of a session's calls is the id of the session; without one, it is a number below
0, made of what calls of one conversation have in common."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import orjson

from capture.ledger.bulk_sql import chunks
from capture.ledger.sessions import SessionRows
from capture.ledger.tools.asked import Caller, cut
from capture.models import Call
from capture.parsing.parsed_call import ParsedCall
from capture.wire.json.fields import fields, text
from capture.wire.json.lenient import load

# System prompts differ by agent, the words of the human do not: they are looked for among so many
# messages at the beginning.
MAX_PROMPTS = 8
_PROMPT_ROLES = ("system", "developer")
_PROMPT_HINTS = tuple(f'"{role}"'.encode() for role in _PROMPT_ROLES)


class Scopes:
    """Finds the scopes of calls, in the order of the ledger."""

    def __init__(self, sessions: SessionRows) -> None:
        self._sessions = sessions
        # By the id of a response: who had it, and the scope of that call; the latest last.
        self._by_response: dict[str, list[tuple[Caller, int]]] = defaultdict(list)

    def of(self, calls: Sequence[ParsedCall]) -> list[int]:
        self._find_responses(calls)
        return [self._scope_of(call) for call in calls]

    def _find_responses(self, calls: Iterable[ParsedCall]) -> None:
        """Looks up the responses that calls without a session continue."""
        ids = {
            id_
            for call in calls
            if call.ledger_field("session_id") is None and (id_ := cut(_continued(call)))
        }
        for some in chunks(sorted(ids)):
            found = Call.objects.not_deleted().filter(response_id__in=some, scope__lt=0)
            facts = found.order_by("seq").values_list("response_id", "scope", *Caller._fields)
            for response_id, scope, *caller in facts:
                self._by_response[str(response_id)].append((Caller(*caller), scope))

    def _scope_of(self, call: ParsedCall) -> int:
        session_id = call.ledger_field("session_id")
        if session_id is not None:
            return self._sessions.open(session_id, call.timestamp)
        scope = self._scope_of_continued(call)
        if scope is None:
            scope = _scope_by_beginning(call)
        if response_id := cut(call.stored_id):
            self._by_response[response_id].append((Caller.of(call), scope))
        return scope

    def _scope_of_continued(self, call: ParsedCall) -> int | None:
        earlier = self._by_response.get(cut(_continued(call)) or "")
        if not earlier:
            return None
        caller = Caller.of(call)
        return next((scope for other, scope in reversed(earlier) if other == caller), None)


def _continued(call: ParsedCall) -> str | None:
    """Returns the id of the response that a call continues, or fetches again."""
    return call.stored_id if call.is_fetch else call.previous_response_id


def _scope_by_beginning(call: ParsedCall) -> int:
    """Calls without a session look like one conversation if they have the same agent, user and
    application, and the same beginning."""
    names = [call.ledger_field(name) for name in ("agent_name", "user_id", "app_id")]
    digest = hashlib.sha256(orjson.dumps(names) + _beginning(call)).digest()
    return -1 - (int.from_bytes(digest[:8]) >> 1)


def _beginning(call: ParsedCall) -> bytes:
    """Returns what stands for the beginning of a conversation: where the provider holds it, its id;
    else the first message that is no prompt."""
    conversation = call.parsed_request.params.get("conversation")
    id_ = text(fields(conversation).get("id") if isinstance(conversation, dict) else conversation)
    if id_:
        return id_.encode()
    messages = [part for part in call.parts[: MAX_PROMPTS + 2] if part.kind == "message"]
    for part in messages:
        if not any(hint in part.data for hint in _PROMPT_HINTS):
            return part.digest
        if fields(load(part.data)[0]).get("role") not in _PROMPT_ROLES:
            return part.digest
    return call.parts[0].digest if call.parts else call.action_id.bytes
