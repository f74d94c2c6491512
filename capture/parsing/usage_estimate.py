"""Estimates usage from the texts where the provider sent none, or not all of it: for a stream that
was not asked for its usage, or was cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from capture.wire.binaries import references
from capture.wire.json.lenient import load
from capture.wire.shared import token_estimate
from capture.wire.types import JSON, ParsedResponse, Usage

# The formats of conversations: the usage of embeddings, images and audio depends on more than text.
FORMATS = frozenset(
    """openai_chat openai_responses openai_completions anthropic_messages gemini gemini_interactions
    ollama cohere_chat bedrock_converse bedrock_invoke""".split()
)
# The model does not read the values of these fields as text.
_NO_TEXT = frozenset(
    """type role id call_id tool_call_id tool_use_id name url file_id media_type mimeType mime_type
    data image_url signature thoughtSignature encrypted_content cache_control status""".split()
)
_LONGEST_WORD = 1000


def complete_usage(
    usage: Usage | None, parts: Iterable[tuple[str, bytes]], parsed_response: ParsedResponse
) -> tuple[Usage | None, bool]:
    """Returns the usage with the missing counts estimated, and whether any was. `parts` are the
    kinds and the JSON of the request's parts."""
    if not _has_response(usage, parsed_response):
        return usage, False
    found = usage or Usage()
    tokens_in, tokens_out = found.tokens_in, found.tokens_out
    if tokens_in is not None and tokens_out is not None:
        return usage, False
    if tokens_in is None:
        if found.units:  # what the provider's tools put in is not in the request
            return usage, False
        tokens_in = _request_tokens(parts)
    if tokens_out is None:
        tokens_out = _response_tokens(parsed_response)
    return replace(found, tokens_in=tokens_in, tokens_out=tokens_out), True


def _has_response(usage: Usage | None, parsed_response: ParsedResponse) -> bool:
    if parsed_response.has_output:
        return True
    if parsed_response.has_failed:  # it may never have come to a model
        return usage is not None and usage.is_known
    return parsed_response.complete or usage is not None


def _request_tokens(parts: Iterable[tuple[str, bytes]]) -> int:
    tools, messages = "", []
    for kind, data in parts:
        if kind == "tools":
            tools += data.decode("utf-8", "replace")
        else:
            messages.append("\n".join(_texts(load(data)[0])))
    return token_estimate.request_tokens(messages, tools)


def _response_tokens(parsed_response: ParsedResponse) -> int:
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
    """Returns True for a text that begins with a word longer than any of a language."""
    return len(text) > _LONGEST_WORD and text.isascii() and len(text[:_LONGEST_WORD].split()) == 1
