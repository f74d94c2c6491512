"""What Google bills beside the tokens: searches, and tokens of another kind than text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capture.wire.formats.gemini import generate_content, interactions, live
from capture.wire.limits import MAX_ITERATIONS, TooMuch
from capture.wire.types import JSON

WEB = {"web": {"uri": "https://example.org", "title": "e"}}
MAPS = {"maps": {"uri": "https://maps.google.com/?cid=1", "title": "Cafe", "placeId": "places/x"}}
ENTRY = {"searchEntryPoint": {"renderedContent": "<div>"}}
URL: dict[str, JSON] = {
    "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://example.org"}]}
}
CODE = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}


def units(metadata: JSON, *parts: JSON, tool_tokens: int = 0, **more: JSON) -> dict[str, float]:
    """The units of a response to generateContent with this `groundingMetadata`."""
    candidate = {
        "content": {"parts": [{"text": "ok"}, *parts]},
        "groundingMetadata": metadata,
        **more,
    }
    usage = {"promptTokenCount": 5, "toolUsePromptTokenCount": tool_tokens}
    body = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    parsed = generate_content.parse_response(body, status=200, content_type="application/json")
    assert parsed.usage is not None
    return parsed.usage.units


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"webSearchQueries": ["a", "b"], **ENTRY}, {"web_searches": 2}),
        # https://github.com/BerriAI/litellm/pull/36397: each distinct query that is not empty
        ({"webSearchQueries": ["a", "b", "a", "", None, 3]}, {"web_searches": 2}),
        ({"webSearchQueries": ["a"], "imageSearchQueries": ["a", "b"]}, {"web_searches": 3}),
        ({"webSearchQueries": [], "groundingChunks": [WEB]}, {}),
        ({"webSearchQueries": "a"}, {}),
        ("a text", {}),
        (ENTRY, {"web_searches": 1, "uncounted_searches": 1}),
        # https://github.com/BerriAI/litellm/pull/38418: Maps has its queries in the same list
        ({"groundingChunks": [MAPS], "webSearchQueries": ["a", "b"]}, {"map_searches": 2}),
        ({"groundingChunks": [MAPS, None, 3]}, {"map_searches": 1, "uncounted_searches": 1}),
        ({"googleMapsWidgetContextToken": "t"}, {"map_searches": 1, "uncounted_searches": 1}),
        (
            {"groundingChunks": [MAPS, WEB], "webSearchQueries": ["a"], **ENTRY},
            {"web_searches": 1, "map_searches": 1, "uncounted_searches": 1},
        ),
        ({"retrievalQueries": ["a", "a", "b"]}, {"retrieval_searches": 2}),
        (
            {"groundingChunks": [{"retrievedContext": {"uri": "gs://b/d", "title": "d"}}]},
            {"retrieval_searches": 1, "uncounted_searches": 1},
        ),
        (
            {"groundingChunks": [{"retrievedContext": {"fileSearchStore": "s", "uri": "u"}}]},
            {},  # https://ai.google.dev/gemini-api/docs/file-search: billed by its tokens alone
        ),
    ],
)
def test_searches_are_counted_by_what_is_billed(metadata: JSON, expected: dict[str, float]) -> None:
    assert units(metadata) == expected


def test_what_a_search_brings_in_is_free_and_what_other_tools_bring_in_is_not() -> None:
    searched = {"webSearchQueries": ["a"], **ENTRY}
    assert units(searched, tool_tokens=900) == {"web_searches": 1, "grounding_tokens": 900}
    mixed = {"web_searches": 1, "unsplit_tool_tokens": 900}
    assert units(searched, CODE, tool_tokens=900) == mixed
    assert units(searched, tool_tokens=900, **URL) == mixed
    assert units({"groundingChunks": [WEB]}, tool_tokens=900, **URL) == {}
    assert units(None, CODE, tool_tokens=900) == {}


def test_maps_beside_url_context_keeps_its_queries() -> None:
    metadata = {"groundingChunks": [MAPS, WEB], "webSearchQueries": ["a", "b"]}
    assert units(metadata, **URL) == {"map_searches": 2}


def test_images_are_counted_when_their_tokens_are_not() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    sound = {"inlineData": {"mimeType": "audio/pcm", "data": "AA=="}}
    assert units({}, image, image, sound, {"inlineData": 3}) == {"images": 2}


def test_queries_of_a_stream_are_counted_once() -> None:
    def chunk(queries: list[str], **more: JSON) -> bytes:
        candidate = {"index": 0, "groundingMetadata": {"webSearchQueries": queries, **more}}
        value = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 5}}
        return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"

    body = chunk(["a"]) + chunk(["a", "b"]) + chunk([], groundingChunks=[MAPS])
    parsed = generate_content.parse_response(body, status=200, content_type="text/event-stream")
    assert parsed.usage and parsed.usage.units == {"map_searches": 2}


def test_live_counts_searches() -> None:
    message = {
        "serverContent": {
            "groundingMetadata": {"webSearchQueries": ["a", "b"], **ENTRY},
            "turnComplete": True,
        },
        "usageMetadata": {"promptTokenCount": 5, "toolUsePromptTokenCount": 7},
    }
    body = b"data: " + json.dumps(message).encode() + b"\n\n"
    parsed = live.parse_response(body, status=200, content_type="text/event-stream")
    assert parsed.usage and parsed.usage.units == {"web_searches": 2, "grounding_tokens": 7}


def interaction_units(*steps: dict[str, Any], **usage: JSON) -> dict[str, float]:
    value = {"status": "completed", "steps": steps, "usage": {"total_input_tokens": 5, **usage}}
    parsed = interactions.parse_response(
        json.dumps(value).encode(), status=200, content_type="application/json"
    )
    assert parsed.usage is not None
    return parsed.usage.units


def test_interactions_count_searches_by_their_usage_or_their_steps() -> None:
    search = {"type": "google_search_call", "arguments": {"queries": ["a", "b", "a"]}}
    maps = {"type": "google_maps_call", "arguments": {}}
    counts = [
        {"type": "google_search", "count": 3},
        {"type": "google_maps", "count": 0},
        {"type": "retrieval", "count": True},
    ]
    assert interaction_units(search) == {"web_searches": 2}
    assert interaction_units(search, grounding_tool_count=counts) == {"web_searches": 3}
    assert interaction_units(maps) == {"map_searches": 1, "uncounted_searches": 1}
    assert interaction_units(
        search, {"type": "url_context_call"}, {"type": ["odd"]}, total_tool_use_tokens=9
    ) == {"web_searches": 2, "unsplit_tool_tokens": 9}


def test_interactions_count_video_and_images_that_the_model_made() -> None:
    image = {"type": "image", "data": "AA=="}
    video = [{"modality": "video", "tokens": 700}]
    assert interaction_units(
        {"type": "user_input", "content": [image]}, {"type": "model_output", "content": [image]}
    ) == {"images": 1}
    assert interaction_units(output_tokens_by_modality=video) == {"output_video_tokens": 700}


def test_more_searches_than_any_model_makes_are_not_read() -> None:
    queries = [str(n) for n in range(MAX_ITERATIONS + 1)]
    with pytest.raises(TooMuch):
        units({"webSearchQueries": queries})
