"""The choices of a response, assembled from deltas or read from messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.json.lenient import clean, dump
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.types import JSON, ParsedResponse, ParsedToolCall

_LEGACY = -1
"""The index of `function_call`, of which there is one at most."""


class _PartialCall:
    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []


class Choice:
    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.executed: list[dict[str, JSON]] = []  # tools that the provider ran: Groq
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_PartialCall] = []
        self._latest: dict[int | None, _PartialCall] = {}  # by index
        self._known: dict[tuple[int | None, str], _PartialCall] = {}  # by index and id

    def add(self, delta: dict[str, JSON]) -> bool:
        """Adds a delta; returns True when it has text, reasoning or a piece of a tool call."""
        has_content = False
        for name, value in delta.items():
            if not value:
                continue
            if name == "content" or name == "refusal":
                has_content |= self._add_content(value)
            elif name == "reasoning_content" or name == "reasoning":
                # vLLM sends the same text under both names.
                if name == "reasoning_content" or not delta.get("reasoning_content"):
                    has_content |= self._add_reasoning(value)
            elif name == "audio":
                has_content |= self._add_content(fields(value).get("transcript"))
            elif name == "tool_calls":
                for fragment in objects(value):
                    index = fragment.get("index")
                    self._add_call(fragment, index if isinstance(index, int) else None)
                    has_content = True
            elif name == "function_call":
                self._add_call({"function": value}, _LEGACY)
                has_content = True
            elif name == "executed_tools":
                self.executed += objects(value)
                check(len(self.executed), MAX_TOOL_CALLS, "tool calls")
        return has_content

    def add_whole(self, message: dict[str, JSON]) -> None:
        """Adds the message of a response that was not streamed, whose tool calls are complete."""
        calls = objects(message.get("tool_calls"))
        check(len(calls), MAX_TOOL_CALLS, "tool calls")
        numbered = [{**call, "index": index} for index, call in enumerate(calls)]
        self.add({**message, "tool_calls": numbered})

    def content(self) -> str | None:
        return join_text(self._content)

    def reasoning(self) -> str | None:
        return join_text(self._reasoning)

    def tool_calls(self) -> list[ParsedToolCall]:
        return [
            ParsedToolCall(text(call.id), text(call.name), clean("".join(call.arguments)))
            for call in self._calls
        ]

    def _add_content(self, content: JSON) -> bool:
        """Adds a text, or Mistral's list of chunks, some of which are thinking."""
        if isinstance(content, str):
            self._content.append(content)
            return bool(content)
        has_content = False
        for chunk in objects(content):
            if chunk.get("type") == "thinking":
                pieces = texts(chunk.get("thinking"))
                self._reasoning += pieces
            else:
                pieces = texts(chunk.get("text")) or texts(chunk.get("refusal"))
                self._content += pieces
            has_content |= bool(pieces)
        return has_content

    def _add_reasoning(self, reasoning: JSON) -> bool:
        pieces = texts(reasoning)
        self._reasoning += pieces
        return bool(pieces)

    def _add_call(self, fragment: dict[str, JSON], index: int | None) -> None:
        custom = fields(fragment.get("custom"))
        function = custom or fields(fragment.get("function"))
        arguments = function.get("input" if custom else "arguments")
        id = text(fragment.get("id"))
        call = self._call(index, None if id == "null" else id, text(function.get("name")))
        if isinstance(arguments, str):
            call.arguments.append(arguments)
        elif arguments is not None:  # Mistral: whole, as an object
            call.arguments.append(dump(arguments))

    def _call(self, index: int | None, id: str | None, name: str | None) -> _PartialCall:
        """Returns the call that a fragment belongs to.

        Some servers give all parallel calls index 0, or none: then a new id begins a new call, and
        without index and id, a name that comes again does.
        """
        call = self._latest.get(index)
        if call is not None and id and call.id and call.id != id:
            call = self._known.get((index, id))
        elif call is not None and index is None and not id and name and call.name:
            call = None
        if call is None:
            call = _PartialCall()
            self._calls.append(call)
            check(len(self._calls), MAX_TOOL_CALLS, "tool calls")
        self._latest[index] = call
        if id and not call.id:
            call.id = id
            self._known[index, id] = call
        call.name = call.name or name
        return call


def set_choices(parsed_response: ParsedResponse, choices: Mapping[int, Choice]) -> None:
    """Sets the first choice as the response, and the others as its `choices`."""
    for number, index in enumerate(sorted(choices)):
        choice = choices[index]
        if number == 0:
            parsed_response.content = choice.content()
            parsed_response.reasoning = choice.reasoning()
            parsed_response.tool_calls = choice.tool_calls()
            parsed_response.stop_reason = choice.stop_reason
        else:
            parsed_response.choices.append(
                {
                    "index": index,
                    "content": choice.content(),
                    "stop_reason": choice.stop_reason,
                    "tool_calls": [asdict(call) for call in choice.tool_calls()],
                }
            )
