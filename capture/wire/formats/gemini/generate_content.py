"""Google's Gemini, at its own API and on Vertex: https://ai.google.dev/api/generate-content

Names are read in camelCase and, in requests, in snake_case too, as Google accepts them.
"""

from __future__ import annotations

import re

from capture.wire import errors
from capture.wire.formats.gemini import usage as gemini_usage
from capture.wire.formats.gemini.grounding import Grounding
from capture.wire.framing import sse
from capture.wire.json import lenient
from capture.wire.json.fields import count, fields, number, objects, text, texts
from capture.wire.json.lenient import clean_json, load
from capture.wire.json.partial_arguments import PartialArguments
from capture.wire.limits import MAX_CHOICES, check
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.choices import Choice, set_choices, stop_reason_in
from capture.wire.shared.usage import add_unit, merge_counts
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "gemini"
PROVIDER = "google"

_parts: dict[str, PartKind] = {
    "contents": "message",
    "systemInstruction": "system",
    "system_instruction": "system",
    "tools": "tools",
}

# A gateway's name of a model may have slashes.
_model_in_path = re.compile(
    r"/(models|tunedModels|endpoints)/([^/:]+(?:/[^/:]+){0,2}):[A-Za-z]+$", re.IGNORECASE
)

# Vertex names a model by where it is.
_where = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, ())
    parsed_request.model_id = model_in(path, parsed_request.model_id)
    parsed_request.stream = parsed_request.stream or path.lower().endswith(":streamgeneratecontent")
    prompts = [texts_in(load(raw[name])[0]) for name in raw if _parts.get(name) == "system"]
    parsed_request.system_prompt = requests.system_prompt(*prompts)
    params = parsed_request.params
    config = fields(params.get("generationConfig") or params.get("generation_config"))
    if parsed_request.temperature is None:
        parsed_request.temperature = number(config.get("temperature"))
    parsed_request.max_tokens = count(config.get("maxOutputTokens"))
    if parsed_request.max_tokens is None:
        parsed_request.max_tokens = count(config.get("max_output_tokens"))
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=read_json,
        parse_stream=read_stream,
        is_stream=_is_stream,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    found = []
    for part in objects(_parts_of(load(message)[0])):
        result = part.get("functionResponse") or part.get("function_response")
        if isinstance(result, dict):
            response = clean_json(result.get("response"))
            found.append(
                ParsedToolResult(
                    tool_call_id=text(result.get("id")),
                    name=text(result.get("name")),
                    content=response,
                    # The outcome is `output` or `error`: the SDK's FunctionResponse.
                    is_error=bool(fields(response).get("error")),
                )
            )
    return found


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def model_in(path: str, body_model: str | None) -> str | None:
    """Returns the model that the path names, else the one of the body."""
    found = _model_in_path.search(f"/{path}")
    if found is None:
        return plain_model(body_model) if body_model else None
    kind, name = found.groups()
    return text(name if kind.lower() == "models" else f"{kind}/{name}")


def plain_model(name: str) -> str:
    """Returns the name of a model without the path that the bodies of Google's APIs may have."""
    found = _where.match(name)
    return name[found.end() :] if found else name


def texts_in(content: JSON) -> list[str]:
    """Returns the texts of a Content, or of what is accepted for one: a single part, a text."""
    if isinstance(content, dict):
        content = content.get("parts", content)
    return texts([content] if isinstance(content, dict) else content)


def _parts_of(content: JSON) -> list[JSON]:
    """Returns the parts of a Content, of which there may be one without a list."""
    parts = fields(content).get("parts")
    return parts if isinstance(parts, list) else [parts]


class _Candidate(Choice):
    def __init__(self) -> None:
        super().__init__()
        self.ran_code = False
        self.n_images = 0
        self._n_calls = 0
        self._unfinished: PartialArguments | None = None  # of the latest call

    def add_candidate(self, candidate: dict[str, JSON]) -> bool:
        """Adds a candidate; returns True when it has text, thoughts or a tool call."""
        if "finishReason" in candidate:
            reason = stop_reason_in(candidate["finishReason"])
            if reason != "FINISH_REASON_UNSPECIFIED":  # the default of its enumeration
                self.stop_reason = reason or self.stop_reason
        has_content = False
        for part in _parts_of(candidate.get("content")):
            if not isinstance(part, dict):
                continue
            if piece := part.get("text"):
                if part.get("thought") is True:
                    has_content |= self.add({"reasoning": piece})
                else:
                    has_content |= self.add_content(piece)
                continue
            call = part.get("functionCall")
            if isinstance(call, dict):
                has_content |= self.add({"tool_calls": [self._as_openai_fragment(call)]})
            elif code := fields(part.get("executableCode")):
                has_content |= self.add({"tool_calls": [self._code_call(code)]})
            self.ran_code |= "codeExecutionResult" in part
            kind = fields(part.get("inlineData")).get("mimeType")
            self.n_images += isinstance(kind, str) and kind.startswith("image/")
        return has_content

    def _code_call(self, code: dict[str, JSON]) -> dict[str, JSON]:
        """Returns code that Google runs as a call of its tool, by the name that it has there."""
        arguments = {name: code[name] for name in ("language", "code") if name in code}
        return self._as_openai_fragment(
            {"id": code.get("id"), "name": "code_execution", "args": arguments}
        )

    def _as_openai_fragment(self, call: dict[str, JSON]) -> dict[str, JSON]:
        """Returns a function call, or a piece of one, as a fragment of a tool call of OpenAI's."""
        args = call.get("args")
        pieces = objects(call.get("partialArgs"))
        unfinished = self._unfinished
        if unfinished is None:
            self._n_calls += 1
            if pieces or call.get("willContinue"):
                unfinished = PartialArguments()
        if unfinished is not None:
            for piece in pieces:
                unfinished.add(piece)
            args = None if call.get("willContinue") else unfinished.assemble()
            self._unfinished = unfinished if call.get("willContinue") else None
        elif args is None:
            args = {}  # a function without arguments
        return {
            "index": self._n_calls,
            "id": call.get("id"),
            "function": {"name": call.get("name"), "arguments": args},
        }


class _GeminiResponse:
    """A response that comes in one chunk or in many."""

    def __init__(self) -> None:
        self.parsed_response = ParsedResponse()
        self.candidates: dict[int, _Candidate] = {}
        self.blocked: str | None = None
        self._counts: dict[str, JSON] = {}
        self._grounding = Grounding()

    def add(self, chunk: dict[str, JSON]) -> bool:
        """Adds a chunk; returns True when it has content."""
        parsed_response = self.parsed_response
        if parsed_response.response_model is None:
            parsed_response.response_model = text(chunk.get("modelVersion"))
        if parsed_response.response_id is None:
            parsed_response.response_id = text(chunk.get("responseId"))
        merge_counts(self._counts, gemini_usage.metadata_in(chunk))
        if feedback := chunk.get("promptFeedback"):
            self.blocked = text(fields(feedback).get("blockReason")) or self.blocked
        has_content = False
        for position, entry in enumerate(objects(chunk.get("candidates"))):
            index = entry.get("index")
            key = index if isinstance(index, int) else position
            candidate = self.candidates.get(key)
            if candidate is None:
                candidate = self.candidates[key] = _Candidate()
                check(len(self.candidates), MAX_CHOICES, "candidates")
            has_content |= candidate.add_candidate(entry)
            self._grounding.add(entry)
        return has_content

    def is_complete(self) -> bool:
        candidates = self.candidates.values()
        if not candidates:
            return self.blocked is not None
        return all(candidate.stop_reason for candidate in candidates)

    def finish(self) -> ParsedResponse:
        parsed_response = self.parsed_response
        set_choices(parsed_response, self.candidates)
        parsed_response.stop_reason = parsed_response.stop_reason or self.blocked
        parsed_response.usage = gemini_usage.read_usage(self._counts)
        parsed_response.service_tier = _tier_in(self._counts)
        if parsed_response.usage:
            self._set_units(parsed_response.usage)
        return parsed_response

    def _set_units(self, usage: Usage) -> None:
        """Sets what is billed beside the tokens, or at another price than theirs."""
        candidates = self.candidates.values()
        if any(candidate.ran_code for candidate in candidates):
            self._grounding.add_code()
        self._grounding.set_units(usage, self._counts.get("toolUsePromptTokenCount"))
        images = sum(candidate.n_images for candidate in candidates)
        if usage.tokens_image_out is None:  # which of the tokens are the images' is not told
            add_unit(usage, "images", images)


def read_json(value: JSON) -> ParsedResponse:
    response = _GeminiResponse()
    response.add(fields(value))
    return response.finish()


def read_stream(body: bytes) -> ParsedResponse:
    response = _GeminiResponse()
    parsed_response = response.parsed_response
    unread: list[int] = []
    done = False
    for name, chunk, end in sse.read_objects(body, unread):
        done = done or name == sse.DONE  # gateways send it
        brought = response.add(chunk)
        if brought and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
        if not brought or chunk.get("error"):
            error = failures.message_of_event(name, chunk)
            parsed_response.error = parsed_response.error or error
    parsed_response.complete = done or parsed_response.error is not None or response.is_complete()
    parsed_response.note = sse.note(unread, body)
    return response.finish()


def _is_stream(body: bytes, content_type: str) -> bool:
    return lenient.strip_bom(body[:64]).startswith(b"[") or sse.is_stream(body, content_type)


def _tier_in(counts: dict[str, JSON]) -> str | None:
    """Returns the tier that was billed. Gemini's API names it `priority`, Vertex
    `ON_DEMAND_PRIORITY`."""
    name = text(counts.get("serviceTier")) or text(counts.get("trafficType")) or ""
    tier = name.lower().removeprefix("on_demand").lstrip("_")
    if name and not tier:
        return "standard"
    return tier if tier and not tier.endswith("unspecified") else None
