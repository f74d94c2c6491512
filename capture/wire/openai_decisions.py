"""OpenAI's decisions: questions about an input, asked and counted as in Responses, whose answers
are no text but verdicts: https://platform.openai.com/docs/api-reference/decisions"""

from __future__ import annotations

from capture.wire import answering, asking, errors, openai_chat, openai_responses, usage
from capture.wire.jsontext import clean_json, dump
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult
from capture.wire.values import fields, text

NAME = "openai_decisions"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"input": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, _ = asking.read_common(body, _parts, ())
    asked.system_prompt = asking.system_prompt(asking.prompts_in(asked, body))
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    """The content is the JSON text of the answers."""
    return answering.read(
        body, status, content_type, whole=_parse_whole, stream=openai_chat.read_stream
    )


def tool_results(message: bytes) -> list[ToolResult]:
    return openai_responses.tool_results(message)


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_whole(value: JSON) -> Answered:
    answer = fields(value)
    answers = answer.get("answers")
    return Answered(
        response_model=text(answer.get("model")),
        response_id=text(answer.get("id")),
        content=dump(clean_json(answers)) if answers else None,
        usage=usage.openai(answer.get("usage")),
    )
