"""The choices of a response, assembled from deltas or read from messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.shared import thoughts
from capture.wire.shared.call_fragments import CallFragments, index_of
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolCall

_LEGACY = -1
"""The index of `function_call`, of which there is one at most."""

# Some servers write JSON's null as text: DashScope and Baidu in each chunk but the last.
_NO_REASONS = ("null", "None", "undefined")


def stop_reason_in(value: JSON) -> str | None:
    """Returns the reason for which a choice has ended; None: it has not, or not for one."""
    return None if value in _NO_REASONS else text(value)


class Choice:
    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.executed: list[dict[str, JSON]] = []  # tools that the provider ran: Groq
        self._content: list[str] = []
        self._thoughts = thoughts.Thoughts()
        self._calls = CallFragments()
        self._messages: list[dict[str, JSON]] = []

    def add_entry(self, entry: dict[str, JSON]) -> bool:
        """Adds a choice of a chunk; returns True when it has content. Some servers send whole
        messages in place of deltas, or beside them: Perplexity one that grows."""
        if self.add(fields(entry.get("delta"))):
            return True
        message = fields(entry.get("message"))
        if message and not self._has_content():
            if self._messages and _has_grown(self._messages[-1], message):
                self._messages.pop()
            self._messages.append(message)
        return bool(message) and Choice().add_whole(message)

    def add_messages(self) -> None:
        """Adds the messages of a stream that had no deltas."""
        if not self._has_content():
            for message in self._messages:
                self.add_whole(message)

    def add(self, delta: dict[str, JSON]) -> bool:
        """Adds a delta; returns True when it has text, reasoning or a piece of a tool call."""
        has_content = False
        for name, value in delta.items():
            if not value:
                continue
            if name == "content" or name == "refusal":
                has_content |= self.add_content(value)
            elif name in thoughts.NAMES:
                has_content |= self._thoughts.add(name, value)
            elif name == "audio":
                has_content |= self.add_content(fields(value).get("transcript"))
            elif name == "tool_calls":
                for fragment in objects([value] if isinstance(value, dict) else value):
                    self._calls.add(fragment, index_of(fragment))
                    has_content = True
            elif name == "function_call":
                self._calls.add({"function": value}, _LEGACY)
                has_content = True
            elif name == "executed_tools":
                self.executed += objects(value)
                check(len(self.executed), MAX_TOOL_CALLS, "tool calls")
        return has_content

    def add_whole(self, message: dict[str, JSON]) -> bool:
        """Adds the message of a response that was not streamed, whose tool calls are complete."""
        calls = message.get("tool_calls")
        calls = objects([calls] if isinstance(calls, dict) else calls)
        check(len(calls), MAX_TOOL_CALLS, "tool calls")
        numbered = [{**call, "index": index} for index, call in enumerate(calls)]
        return self.add({**message, "tool_calls": numbered})

    def content(self) -> str | None:
        return join_text(self._content)

    def reasoning(self) -> str | None:
        return self._thoughts.text()

    def tool_calls(self) -> list[ParsedToolCall]:
        return self._calls.finish()

    def add_content(self, content: JSON) -> bool:
        """Adds a text, or Mistral's list of chunks, some of which are thinking; returns True when
        it has one of them."""
        if isinstance(content, str) and content:
            self._content.append(content)
            return True
        has_content = False
        for chunk in objects([content] if isinstance(content, dict) else content):
            if chunk.get("type") in thoughts.CONTENT_TYPES:
                has_content |= self._thoughts.add("content", chunk)
                continue
            pieces = texts(chunk.get("text")) or texts(chunk.get("refusal"))
            self._content += pieces
            has_content |= bool(pieces)
        return has_content

    def _has_content(self) -> bool:
        return bool(self._content or self._thoughts or self._calls)


def _has_grown(before: dict[str, JSON], now: dict[str, JSON]) -> bool:
    old, new = before.get("content"), now.get("content")
    return isinstance(old, str) and isinstance(new, str) and new.startswith(old)


def set_choices(parsed_response: ParsedResponse, choices: Mapping[int, Choice]) -> None:
    """Sets the first choice as the response, and the others as its `choices`."""
    for number, index in enumerate(sorted(choices)):
        choice = choices[index]
        choice.add_messages()
        if number == 0:
            parsed_response.content = choice.content()
            parsed_response.reasoning = choice.reasoning()
            parsed_response.tool_calls = choice.tool_calls()
            parsed_response.stop_reason = choice.stop_reason
        else:
            other: dict[str, JSON] = {
                "index": index,
                "content": choice.content(),
                "stop_reason": choice.stop_reason,
                "tool_calls": [asdict(call) for call in choice.tool_calls()],
            }
            reasoning = choice.reasoning()
            parsed_response.choices.append(
                {**other, "reasoning": reasoning} if reasoning else other
            )


def join_split_answer(request: ParsedRequest, response: ParsedResponse) -> None:
    """Makes one answer of choices that are parts of it: Copilot sends the text of Claude as one
    choice, and each tool call as another. An agent that asked for several has asked for them by
    `n`; of two texts without a tool call, each is an answer."""
    n_texts = sum(1 for choice in response.choices if choice["content"]) + bool(response.content)
    has_calls = response.tool_calls or any(choice["tool_calls"] for choice in response.choices)
    if request.is_raw or not request.parts or request.params.get("n") not in (None, 1):
        return
    if n_texts > 1 and not has_calls:
        return
    for choice in response.choices:
        calls = [ParsedToolCall(**call) for call in choice["tool_calls"]]
        response.content = join_text([response.content or "", choice["content"] or ""])
        thought = [text for text in (response.reasoning, choice.get("reasoning")) if text]
        response.reasoning = join_text(thought, "\n\n")
        response.tool_calls += calls
        if calls or response.stop_reason is None:
            response.stop_reason = choice["stop_reason"] or response.stop_reason
    response.choices = []
