"""The plain data that wire formats read out of bodies, the same for every provider.

A body that cannot be parsed yields an object with its fields unset and a `note` that says why; no
parser raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

JSON = Any
"""A decoded JSON value."""

PartKind = Literal["message", "system", "tools"]


class Unreadable(Exception):
    """The rest of a body cannot be read, or not in bounds. The message says why."""


class BodyPart(NamedTuple):
    """A slice of a request body that is stored once per session: `body[start:end]`.

    There is one for each item of the history, one for the system prompt, and one for all tool
    definitions.
    """

    kind: PartKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedToolCall:
    """A call of a tool that the model asks for. `arguments` is the text as the model wrote it."""

    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class ParsedToolResult:
    """The result of a tool call, as a later request brings it."""

    tool_call_id: str | None
    name: str | None
    content: JSON
    is_error: bool


@dataclass(slots=True)
class BilledUsage:
    """The usage that is billed at the price of one model. `model` is None for the model that
    responded."""

    model: str | None
    usage: Usage


@dataclass(slots=True)
class Usage:
    """Token counts in one meaning for all providers; None where the provider sent no number.

    `tokens_in` includes cache reads and writes, audio and images, `tokens_out` includes reasoning,
    audio and images; `tokens_cache_write` includes those written for an hour.
    `raw` is the provider's own object.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_cache_write_1h: int | None = None
    tokens_reasoning: int | None = None
    tokens_audio_in: int | None = None
    tokens_audio_out: int | None = None
    tokens_image_in: int | None = None
    tokens_image_out: int | None = None
    # What is counted beside these, under the names of genai-prices: `web_searches`,
    # `audio_seconds`, `input_characters`, `cache_audio_read_tokens`; and under our own: `images`
    # that have no tokens, `image_gen_tokens_in` and `image_gen_tokens_out` of the model that a
    # tool makes images with.
    units: dict[str, float] = field(default_factory=dict)
    # What is billed, where that is not these counts at the price of the model that responded.
    billed: list[BilledUsage] = field(default_factory=list)
    # The cost of the call in USD, as the provider reports it.
    reported_cost_usd: Decimal | None = None
    raw: dict[str, JSON] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Returns True if anything was counted."""
        return self.tokens_in is not None or self.tokens_out is not None or bool(self.units)


@dataclass(slots=True)
class ParsedRequest:
    """A request body, parsed."""

    model_id: str | None = None
    stream: bool = False
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    # All other top-level fields of the body but the history, the system prompt and the tools.
    params: dict[str, JSON] = field(default_factory=dict)
    # What the request alone is billed by when the response has no usage: `input_characters`.
    units: dict[str, float] = field(default_factory=dict)
    # In the order of the body, without overlaps.
    parts: list[BodyPart] = field(default_factory=list)
    note: str | None = None
    # True: it is above a limit, and only what is cheaply known of it was read.
    is_raw: bool = False


@dataclass(slots=True)
class ParsedResponse:
    """A response body, parsed."""

    response_model: str | None = None
    response_id: str | None = None
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ParsedToolCall] = field(default_factory=list)
    # Choices after the first, as [{"index", "content", "stop_reason", "tool_calls"}].
    choices: list[dict[str, JSON]] = field(default_factory=list)
    stop_reason: str | None = None
    usage: Usage | None = None
    # The tier that was billed, and Anthropic's `speed`, where the response names them.
    service_tier: str | None = None
    speed: str | None = None
    # True when a gateway took it from a cache of its own: nobody is charged for it.
    is_from_cache: bool = False
    # The provider's error message: of an error body, an error event in mid-stream, or
    # `response.failed`.
    error: str | None = None
    # What has come in place of an answer, or that nothing has: a failure if it is all that came.
    no_answer: str | None = None
    # True when the last event of the wire format, or a complete JSON response, has come.
    complete: bool = False
    # True: the answer comes later, and other calls fetch it by `response_id`.
    is_pending: bool = False
    # The offset in the body at which the first content (text, refusal, reasoning, tool call) was
    # complete; None when there was none, or the response was not a stream.
    first_content_end: int | None = None
    note: str | None = None
    is_raw: bool = False  # as above

    @property
    def has_failed(self) -> bool:
        """Says so of a response that came to its end, whatever its status."""
        return self.error is not None or self.no_answer is not None

    @property
    def has_output(self) -> bool:
        return bool(self.content or self.reasoning or self.tool_calls or self.choices)


class WireFormat(Protocol):
    """The functions and names that each module of a wire format offers."""

    NAME: str
    PROVIDER: str  # the provider that defined the API: "openai", "anthropic"

    def parse_request(
        self, body: bytes, *, path: str = "", content_type: str = ""
    ) -> ParsedRequest:
        """Parses a body without content-encoding. `path` is decoded; some APIs name the model in
        it."""

    def parse_response(self, body: bytes, *, status: int, content_type: str) -> ParsedResponse:
        """Parses a body without content-encoding."""

    def tool_results(self, message: bytes) -> list[ParsedToolResult]:
        """Returns the tool results that one message part carries, in order."""

    def error_body(self, message: str, *, type: str, code: str, request_id: str) -> bytes:
        """Returns the body of an error of our own, in the shape that this API's SDKs read."""
