"""Usage where the provider sent none, or not all of it: a stream that was not asked for it, or was
cut. Estimated from the texts, and marked so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from capture.wire.binaries import references
from capture.wire.json.lenient import load
from capture.wire.shared import token_estimate
from capture.wire.types import JSON, ParsedResponse, Usage

# Conversations: of embeddings, images and audio the text tells too little.
FORMATS = frozenset(
    """openai_chat openai_responses openai_completions anthropic_messages gemini gemini_interactions
    ollama cohere_chat bedrock_converse bedrock_invoke""".split()
)
# A response in the background: its usage comes when it is fetched.
_UNFINISHED = ("queued", "in_progress")

# What stands under these is not read by the model as text.
_NO_TEXT = frozenset(
    """type role id call_id tool_call_id tool_use_id name url file_id media_type mimeType mime_type
    data image_url signature thoughtSignature encrypted_content cache_control status""".split()
)
_LONGEST_WORD = 1000


def complete_usage(
    usage: Usage | None, parts: Iterable[tuple[str, bytes]], parsed_response: ParsedResponse
) -> tuple[Usage | None, bool]:
    """The usage with what is missing estimated, and whether anything was. `parts` are those of the
    request: kind and JSON."""
    if parsed_response.stop_reason in _UNFINISHED or not _was_answered(usage, parsed_response):
        return usage, False
    found = usage or Usage()
    if found.tokens_in is not None and found.tokens_out is not None:
        return usage, False
    return replace(
        found,
        tokens_in=_request(parts) if found.tokens_in is None else found.tokens_in,
        tokens_out=_response(parsed_response) if found.tokens_out is None else found.tokens_out,
    ), True


def _was_answered(usage: Usage | None, parsed_response: ParsedResponse) -> bool:
    said = parsed_response.content or parsed_response.reasoning or parsed_response.tool_calls
    return (
        bool(said)
        or (parsed_response.complete and parsed_response.error is None)
        or usage is not None
    )


def _request(parts: Iterable[tuple[str, bytes]]) -> int:
    tools, messages = "", []
    for kind, data in parts:
        if kind == "tools":
            tools += data.decode("utf-8", "replace")
        else:
            messages.append("\n".join(_texts(load(data)[0])))
    return token_estimate.request_tokens(messages, tools)


def _response(parsed_response: ParsedResponse) -> int:
    arguments = [call.arguments for call in parsed_response.tool_calls]
    names = [call.name or "" for call in parsed_response.tool_calls]
    return token_estimate.response_tokens(
        parsed_response.content or "", parsed_response.reasoning or "", *names, *arguments
    )


def _texts(value: JSON) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if not value.startswith(references.PREFIX) and not _is_base64(value):
                yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [entry for key, entry in value.items() if key not in _NO_TEXT]


def _is_base64(text: str) -> bool:
    """A word that is longer than any: an image, a file."""
    return len(text) > _LONGEST_WORD and text.isascii() and len(text[:_LONGEST_WORD].split()) == 1
