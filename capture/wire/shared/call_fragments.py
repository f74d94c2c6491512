"""Assembles the tool calls of chat completions from their fragments.

By OpenAI's rules a fragment names its call by `index`, and only the first one has an id and a name.
Servers leave out the index or the id, give all parallel calls index 0, repeat the name or the
arguments in each fragment, or send the name in pieces.
"""

from __future__ import annotations

from capture.wire.json.fields import count, fields, text
from capture.wire.json.lenient import clean, dump, load
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.types import JSON, ParsedToolCall


class _PartialCall:
    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []
        self._is_torn = False

    def add_name(self, name: str) -> None:
        if self.name is None or name.startswith(self.name):
            self.name = name
        elif not self.arguments:
            self.name += name

    def add_arguments(self, piece: str) -> None:
        if not piece or (len(piece) > 2 and self.repeats(piece)):
            return
        if self.arguments == ["{}"]:  # stood for arguments that were yet to come
            self.arguments = []
        self.arguments.append(piece)

    def is_followed_by(self, piece: str) -> bool:
        """Returns True if these arguments are complete, and `piece` begins others."""
        if self._is_torn or not piece.lstrip().startswith("{") or not self._may_be_complete():
            return False
        # An object directly behind another one is no JSON, so this need not be asked twice.
        self._is_torn = (
            load("".join(self.arguments).encode("utf-8", "surrogatepass"))[1] is not None
        )
        return not self._is_torn

    def _may_be_complete(self) -> bool:
        return bool(self.arguments) and self.arguments[-1].rstrip().endswith("}")

    def repeats(self, piece: str) -> bool:
        """Returns True for all the arguments once more, as some servers end a stream."""
        if len(self.arguments) == 1 and self.arguments[0] == piece:
            return piece.startswith("{") and self._may_be_complete()
        return (
            self.is_followed_by(piece)
            and len(piece) == sum(map(len, self.arguments))
            and piece == "".join(self.arguments)
        )


class CallFragments:
    def __init__(self) -> None:
        self._calls: list[_PartialCall] = []
        self._latest: dict[int | None, _PartialCall] = {}  # by index
        self._known: dict[tuple[int | None, str], _PartialCall] = {}  # by index and id

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, fragment: dict[str, JSON], index: int | None) -> None:
        custom = fields(fragment.get("custom"))
        function = custom or fields(fragment.get("function")) or fragment
        arguments = function.get("input" if custom else "arguments")
        if arguments is None:
            piece = ""
        else:  # Mistral's are whole, as an object
            piece = arguments if isinstance(arguments, str) else dump(arguments)
        id, name = text(fragment.get("id")), text(function.get("name"))
        call = self._call(index, None if id == "null" else id, name, piece)
        if name:
            call.add_name(name)
        call.add_arguments(piece)

    def finish(self) -> list[ParsedToolCall]:
        return [
            ParsedToolCall(text(call.id), text(call.name), clean("".join(call.arguments)))
            for call in self._calls
        ]

    def _call(
        self, index: int | None, id: str | None, name: str | None, piece: str
    ) -> _PartialCall:
        """Returns the call that a fragment belongs to."""
        call = self._latest.get(index)
        if call is not None and id and call.id and id != call.id:
            known = self._known.get((index, id))
            # Some servers give each fragment of a call an id of its own, but not another name.
            continues = index is not None and piece and not name and not call.is_followed_by(piece)
            call = known or (call if continues else None)
        elif call is not None and name and not (id and id == call.id):
            call = None if _is_other_call(call, index, name, piece) else call
        if call is None:
            call = _PartialCall()
            self._calls.append(call)
            check(len(self._calls), MAX_TOOL_CALLS, "tool calls")
        self._latest[index] = call
        if id and not call.id:
            call.id = id
            self._known[index, id] = call
        return call


def _is_other_call(call: _PartialCall, index: int | None, name: str, piece: str) -> bool:
    """Returns True if a fragment with a name and without a known id begins another call than the
    latest one of its index."""
    if call.name is None:
        return False
    if call.name != name and index is None:
        return True
    return call.is_followed_by(piece) and (index is None or not call.repeats(piece))


def index_of(fragment: dict[str, JSON]) -> int | None:
    """Returns the index of a fragment or a choice, which some servers send as text."""
    index = fragment.get("index")
    if type(index) is int and 0 <= index < 1_000:  # nearly all of them
        return index
    if isinstance(index, str) and index.isdecimal() and len(index) < 10:
        return int(index)
    return count(index)
