"""OpenAI's other endpoints: completions, embeddings, images, audio, moderations, decisions; and the
counting of tokens, Anthropic's too."""

from __future__ import annotations

from decimal import Decimal

from capture.wire.types import JSON, ParsedResponse, Usage
from tests.capture.wire.corpus.chat import COUNTED, DONE, USAGE
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact, data, named


def text_chunk(text: JSON, stop: str | None = None, index: int = 0, **more: JSON) -> JSON:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": stop}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [choice],
        **more,
    }


COMPLETIONS = [
    Exchange(
        "stream with usage",
        "openai_completions",
        data(
            text_chunk("Grüße"),
            text_chunk(", 😀"),
            text_chunk("", "stop"),
            text_chunk("") | {"choices": [], "usage": USAGE},
            DONE,
        ),
        ParsedResponse(
            response_model="gpt-3.5-turbo-instruct",
            response_id="cmpl-1",
            content="Grüße, 😀",
            stop_reason="stop",
            usage=COUNTED,
            complete=True,
        ),
        first_content="Grüße".encode(),
    ),
    Exchange(
        "stream cut in the middle",
        "openai_completions",
        data(text_chunk("one"), text_chunk(" t"), b'data: {"id"'),
        ParsedResponse(
            response_model="gpt-3.5-turbo-instruct",
            response_id="cmpl-1",
            content="one t",
            note="the last event is cut short",
        ),
        first_content=b'"one"',
    ),
    Exchange(
        "a response to each prompt",
        "openai_completions",
        compact(
            text_chunk("one", "stop", usage=USAGE)
            | {
                "choices": [
                    {"text": "one", "index": 0, "finish_reason": "stop"},
                    {"text": "two", "index": 1, "finish_reason": "length"},
                ]
            }
        ),
        ParsedResponse(
            response_model="gpt-3.5-turbo-instruct",
            response_id="cmpl-1",
            content="one",
            choices=[{"index": 1, "content": "two", "stop_reason": "length", "tool_calls": []}],
            stop_reason="stop",
            usage=COUNTED,
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "Mistral: a message that fills the middle",
        "openai_completions",
        compact(
            {
                "id": "f1",
                "model": "codestral-latest",
                "choices": [{"message": {"content": "return a"}, "finish_reason": "stop"}],
            }
        ),
        ParsedResponse(
            response_model="codestral-latest",
            response_id="f1",
            content="return a",
            stop_reason="stop",
            complete=True,
        ),
        content_type=PLAIN,
    ),
]


def embedded(vector: JSON) -> bytes:
    return compact(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": vector}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        }
    )


EMBEDDED = ParsedResponse(
    response_model="text-embedding-3-small",
    usage=Usage(tokens_in=5, raw={"prompt_tokens": 5, "total_tokens": 5}),
    complete=True,
)

EMBEDDINGS = [
    Exchange(
        "vectors",
        "openai_embeddings",
        embedded([0.0023, -0.009]),
        EMBEDDED,
        content_type=PLAIN,
    ),
    Exchange(
        "vectors as base64",
        "openai_embeddings",
        embedded("4sAWuw==" * 100),
        EMBEDDED,
        content_type=PLAIN,
    ),
    Exchange(
        "a copy that says that nothing was put out",
        "openai_embeddings",
        compact({"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 0}}),
        ParsedResponse(
            response_model="m",
            usage=Usage(
                tokens_in=5, tokens_out=0, raw={"prompt_tokens": 5, "completion_tokens": 0}
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
]

IMAGE = "iVBORw0KGgoAAAANSUhEUg=="
PAINTED = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 272,
    "output_tokens_details": {"image_tokens": 260, "text_tokens": 12},
    "total_tokens": 322,
}
PAINTED_BEFORE_DETAILS = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 272,
    "total_tokens": 322,
}
WRITTEN = {
    "model": "gpt-5.6",
    "input_tokens": 100,
    "output_tokens": 900,
    "reasoning_tokens": 300,
    "total_tokens": 1000,
}

IMAGES = [
    Exchange(
        "GPT Image",
        "openai_images",
        compact({"created": 1, "data": [{"b64_json": IMAGE}], "usage": PAINTED}),
        ParsedResponse(
            usage=Usage(
                tokens_in=50,
                tokens_out=272,
                tokens_image_in=40,
                tokens_image_out=260,
                raw=PAINTED,
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "an SVG, written and painted",
        "openai_images",
        compact({"data": [{"b64_json": IMAGE}], "usage": PAINTED, "svg_usage": WRITTEN}),
        ParsedResponse(
            usage=Usage(
                tokens_in=150,
                tokens_out=1172,
                tokens_reasoning=300,
                tokens_image_in=40,
                tokens_image_out=260,
                raw={**PAINTED, "svg_usage": WRITTEN},
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "an SVG alone",
        "openai_images",
        compact({"data": [{"b64_json": IMAGE}], "svg_usage": WRITTEN}),
        ParsedResponse(
            usage=Usage(
                tokens_in=100, tokens_out=900, tokens_reasoning=300, raw={"svg_usage": WRITTEN}
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "DALL·E: two images without usage, one of another prompt",
        "openai_images",
        compact(
            {"data": [{"url": "https://x/1", "revised_prompt": "A red fox"}, {"b64_json": IMAGE}]}
        ),
        ParsedResponse(
            content="A red fox",
            usage=Usage(units={"images": 2}, raw={"images": 2}),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "xAI: a price, no tokens",
        "openai_images",
        compact({"data": [{"b64_json": IMAGE}], "usage": {"cost_in_usd_ticks": 200000000}}),
        ParsedResponse(
            usage=Usage(
                units={"images": 1},
                reported_cost_usd=Decimal("0.02"),
                raw={"cost_in_usd_ticks": 200000000},
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "stream",
        "openai_images",
        named(
            {
                "type": "image_generation.partial_image",
                "partial_image_index": 0,
                "b64_json": IMAGE,
            },
            {
                "type": "image_generation.completed",
                "b64_json": IMAGE,
                "usage": PAINTED_BEFORE_DETAILS,
            },
        ),
        ParsedResponse(
            usage=Usage(
                tokens_in=50,
                tokens_out=272,
                tokens_image_in=40,
                tokens_image_out=272,
                raw=PAINTED_BEFORE_DETAILS,
            ),
            complete=True,
        ),
        first_content=b"partial_image_index",
    ),
    Exchange(
        "two edits, streamed",
        "openai_images",
        named(
            {"type": "image_edit.completed", "b64_json": IMAGE, "usage": PAINTED},
            {"type": "image_edit.completed", "b64_json": IMAGE, "usage": PAINTED},
        ),
        ParsedResponse(
            usage=Usage(
                tokens_in=100,
                tokens_out=544,
                tokens_image_in=80,
                tokens_image_out=520,
                raw=PAINTED,
            ),
            complete=True,
        ),
        first_content=b"image_edit.completed",
    ),
    Exchange(
        "error in mid-stream",
        "openai_images",
        named({"type": "error", "error": {"code": "moderation_blocked", "message": "No."}}),
        ParsedResponse(error="No.", complete=True),
    ),
]

HEARD = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 45,
    "total_tokens": 59,
}
HEARD_TOKENS = Usage(tokens_in=14, tokens_out=45, tokens_audio_in=14, raw=HEARD)
SRT = "1\n00:00:00,000 --> 00:00:02,000\nGrüße\n\n"
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90d\x00data: \x00" * 50

HEARD_BY_MISTRAL = {
    "prompt_audio_seconds": 3,
    "prompt_tokens": 4,
    "completion_tokens": 6,
    "total_tokens": 10,
}
COUNTED_BY_MISTRAL = Usage(
    tokens_in=4, tokens_out=6, units={"audio_seconds": 3}, raw=dict(HEARD_BY_MISTRAL)
)

AUDIO = [
    Exchange(
        "a transcript, by tokens",
        "openai_audio",
        compact({"text": "Grüße", "usage": HEARD}),
        ParsedResponse(content="Grüße", usage=HEARD_TOKENS, complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "Whisper, by seconds",
        "openai_audio",
        compact(
            {
                "task": "transcribe",
                "language": "german",
                "duration": 8.47,
                "text": "Grüße",
                "segments": [{"id": 0, "text": "Grüße"}],
                "usage": {"type": "duration", "seconds": 9},
            }
        ),
        ParsedResponse(
            content="Grüße",
            usage=Usage(units={"audio_seconds": 9}, raw={"type": "duration", "seconds": 9}),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "a translation, by its duration",
        "openai_audio",
        compact({"language": "english", "duration": 8.47, "text": "Hello"}),
        ParsedResponse(
            content="Hello",
            usage=Usage(units={"audio_seconds": 8.47}, raw={"type": "duration", "seconds": 8.47}),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "subtitles",
        "openai_audio",
        SRT.encode(),
        ParsedResponse(content=SRT),
        content_type="text/plain; charset=utf-8",
    ),
    Exchange(
        "plain text that would be JSON",
        "openai_audio",
        b"42",
        ParsedResponse(content="42"),
        content_type="text/plain",
    ),
    Exchange(
        "a transcript, streamed",
        "openai_audio",
        named(
            {"type": "transcript.text.delta", "delta": "Grü", "logprobs": []},
            {"type": "transcript.text.delta", "delta": "ße", "segment_id": "seg_1"},
            {"type": "transcript.text.segment", "id": "seg_1", "text": "Grüße", "speaker": "A"},
            {"type": "transcript.text.done", "text": "Grüße", "usage": HEARD},
        ),
        ParsedResponse(content="Grüße", usage=HEARD_TOKENS, complete=True),
        first_content="Grü".encode(),
    ),
    Exchange(
        "Mistral: a transcript",
        "openai_audio",
        compact(
            {
                "model": "voxtral-mini-2507",
                "text": "Grüße",
                "language": "de",
                "usage": HEARD_BY_MISTRAL,
            }
        ),
        ParsedResponse(
            response_model="voxtral-mini-2507",
            content="Grüße",
            usage=COUNTED_BY_MISTRAL,
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "Mistral: a transcript, streamed",
        "openai_audio",
        named(
            {"type": "transcription.language", "audio_language": "de"},
            {"type": "transcription.text.delta", "text": "Grü"},
            {"type": "transcription.text.delta", "text": "ße"},
            {
                "type": "transcription.done",
                "model": "voxtral-mini-2507",
                "text": "Grüße",
                "language": "de",
                "usage": HEARD_BY_MISTRAL,
            },
        ),
        ParsedResponse(
            response_model="voxtral-mini-2507",
            content="Grüße",
            usage=COUNTED_BY_MISTRAL,
            complete=True,
        ),
        first_content="Grü".encode(),
    ),
    Exchange(
        "Mistral: speech",
        "openai_audio",
        compact({"audio_data": "SUQzBA=="}),
        ParsedResponse(complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "Mistral: speech, streamed",
        "openai_audio",
        named(
            {"type": "speech.audio.delta", "audio_data": "SUQzBA=="},
            {"type": "speech.audio.done", "usage": HEARD_BY_MISTRAL},
        ),
        ParsedResponse(usage=COUNTED_BY_MISTRAL, complete=True),
        first_content=b"SUQzBA==",
    ),
    Exchange(
        "a transcript, cut short",
        "openai_audio",
        named({"type": "transcript.text.delta", "delta": "Grü"}),
        ParsedResponse(content="Grü"),
        first_content="Grü".encode(),
    ),
    Exchange(
        "speech",
        "openai_audio",
        MP3,
        ParsedResponse(),
        content_type="audio/mpeg",
    ),
    Exchange(
        "speech without a content type",
        "openai_audio",
        MP3,
        ParsedResponse(),
        content_type="",
    ),
    Exchange(
        "speech, streamed as events",
        "openai_audio",
        named(
            {"type": "speech.audio.delta", "audio": "SUQzBA=="},
            {"type": "speech.audio.delta", "audio": "//uQZA=="},
            {
                "type": "speech.audio.done",
                "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
            },
        ),
        ParsedResponse(
            usage=Usage(
                tokens_in=14,
                tokens_out=101,
                raw={"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
            ),
            complete=True,
        ),
        first_content=b"SUQzBA",
    ),
    Exchange(
        "error body",
        "openai_audio",
        b'{"error":{"message":"Invalid file format.","type":"invalid_request_error"}}',
        ParsedResponse(error="Invalid file format.", complete=True),
        status=400,
        content_type=PLAIN,
    ),
    Exchange(
        "error event",
        "openai_audio",
        data({"error": {"message": "Oh no"}}),
        ParsedResponse(error="Oh no", complete=True),
    ),
]

DECIDED = {
    "input_tokens": 40,
    "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 16},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 42,
}

OTHERS = [
    Exchange(
        "moderation",
        "openai_moderations",
        compact(
            {
                "id": "modr-1",
                "model": "omni-moderation-2024-09-26",
                "results": [{"flagged": True, "categories": {"violence": True}}],
            }
        ),
        ParsedResponse(
            response_model="omni-moderation-2024-09-26", response_id="modr-1", complete=True
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "decision",
        "openai_decisions",
        compact(
            {
                "answers": [{"type": "predicate", "name": "spam", "probability": 0.93}],
                "model": "gpt-6-luna",
                "usage": DECIDED,
            }
        ),
        ParsedResponse(
            response_model="gpt-6-luna",
            content='[{"type":"predicate","name":"spam","probability":0.93}]',
            usage=Usage(
                tokens_in=40,
                tokens_out=2,
                tokens_cache_read=16,
                tokens_cache_write=0,
                tokens_reasoning=0,
                raw=DECIDED,
            ),
            complete=True,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "count of a response's input",
        "openai_input_tokens",
        b'{"object":"response.input_tokens","input_tokens":11}',
        ParsedResponse(usage=Usage(tokens_in=11, raw={"input_tokens": 11}), complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "count of a message's input",
        "anthropic_count_tokens",
        b'{"input_tokens":2095,"context_management":{"original_input_tokens":3000}}',
        ParsedResponse(usage=Usage(tokens_in=2095, raw={"input_tokens": 2095}), complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "count refused",
        "anthropic_count_tokens",
        b'{"type":"error","error":{"type":"rate_limit_error","message":"Too many"}}',
        ParsedResponse(error="Too many", complete=True),
        status=429,
        content_type=PLAIN,
    ),
]

EXCHANGES = [*COMPLETIONS, *EMBEDDINGS, *IMAGES, *AUDIO, *OTHERS]
