"""Requests to the stand-in provider and its replies, the same for every API."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import orjson


class BadRequest(ValueError):
    """The body is not valid for this API: the response has status 400 and the API's own shape."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    parameters: dict[str, Any]  # JSON Schema


@dataclass(frozen=True, slots=True)
class DemoRequest:
    body: dict[str, Any]
    user_text: str  # the last one
    tools: tuple[Tool, ...]  # that the client runs, without the provider's own, such as web search
    tool_result: str | None  # None: there is none since the last user text

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    arguments: dict[str, Any]

    @property
    def arguments_json(self) -> str:
        return orjson.dumps(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Reply:
    text: str  # may be empty where a tool is used
    tool: ToolUse | None
    tokens_in: int
    tokens_out: int


class Api(Protocol):
    """The functions that the module of each API offers; modules are passed as values."""

    def parse_request(self, body: dict[str, Any]) -> DemoRequest: ...

    def response(self, request: DemoRequest, reply: Reply) -> dict[str, Any]: ...

    def events(self, request: DemoRequest, reply: Reply) -> Iterator[bytes]:
        """Returns the streamed response; each item holds the events that a provider sends at
        once."""

    def bad_request(self, message: str) -> dict[str, Any]:
        """Returns the body of a response with status 400."""

    def no_such_model(self, model: str) -> dict[str, Any]:
        """Returns the body of a response with status 404."""


SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "claude-opus-5-5": "claude-opus-5-5-20261001",
}


def snapshot_of(model: str) -> str:
    """Returns the dated name that providers return for a model's name."""
    return SNAPSHOTS.get(model, model)


def new_id(prefix: str) -> str:
    return prefix + uuid4().hex[:24]


def text_of(content: object) -> str:
    """Returns the text in a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def items(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns the objects in the list `name`, none if it is missing. Raises BadRequest for other
    items."""
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadRequest(f"Invalid type for '{name}': expected an array of objects.")
    return found


def arguments_for(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Arguments that fit a tool's JSON Schema: its examples if it has any, else made of `text`."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    names = schema.get("required") or list(properties)
    return {name: _value_for(properties[name], text) for name in names if name in properties}


def _value_for(schema: object, text: str) -> Any:
    if not isinstance(schema, dict):
        return text
    for name in ("const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    kind = schema.get("type")
    if kind == "object":
        return arguments_for(schema, text)
    if kind == "array":
        return [_value_for(schema.get("items", {}), text)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 3)
    return True if kind == "boolean" else text[:80]
