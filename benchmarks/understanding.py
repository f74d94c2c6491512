"""CPU of parsing a response, beside a bare reading of its JSON.

    python -m benchmarks.understanding [BEFORE]

A stream of 300 chunks and a plain response of each main format, as the wire formats read them, and
what their pricing takes. The bare reading is `orjson.loads` of every chunk; of a cut stream, of
those that are whole. Each figure is the least of several runs: other programs only add to it.

BEFORE is another checkout. It parses the same responses in a process of its own, in turn with this
one, and the figures of both are medians of several such rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from capture.pricing.prices import Prices
from capture.pricing.terms import BillingTerms
from capture.wire.registry import by_name

CHUNKS = 300
RUNS, CALLS_A_RUN = 20, 10
ROUNDS, RUNS_A_ROUND = 7, 4
ANSWERS = "--answer"  # how the process of the other checkout is started
TARGET_STREAM_US, TARGET_PLAIN_US = 1500, 150
SSE, PLAIN, LINES = "text/event-stream", "application/json", "application/x-ndjson"
WORDS = [f"word{number} " for number in range(CHUNKS)]
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    wire_format: str
    content_type: str
    chunks: list[bytes]  # the JSON in it
    body: bytes
    target_us: int = TARGET_STREAM_US


def compact(values: list[JSON]) -> list[bytes]:
    return [json.dumps(value, separators=(",", ":")).encode() for value in values]


def chat_chunks() -> list[JSON]:
    def chunk(delta: JSON, **more: Any) -> JSON:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        head = {"id": "chatcmpl-B1", "object": "chat.completion.chunk", "created": 1764000000}
        return {**head, "model": "gpt-4o-2024-08-06", "choices": [choice], "usage": None, **more}

    usage = {"prompt_tokens": 900, "completion_tokens": CHUNKS, "total_tokens": 900 + CHUNKS}
    return [*(chunk({"content": word}) for word in WORDS), chunk({}, choices=[], usage=usage)]


def chat_response() -> JSON:
    message = {"role": "assistant", "content": "".join(WORDS)}
    usage = {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "chatcmpl-B1", "model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage}


def responses_response() -> JSON:
    content = [{"type": "output_text", "text": "".join(WORDS), "annotations": []}]
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5-2025-08-07",
        "output": [message],
        "usage": {"input_tokens": 900, "output_tokens": 300, "total_tokens": 1200},
    }


def responses_events() -> list[JSON]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [
        {"type": "response.output_text.delta", "sequence_number": n, **place, "delta": word}
        for n, word in enumerate(WORDS)
    ]
    return [*deltas, {"type": "response.completed", "response": responses_response()}]


def messages_response() -> JSON:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "".join(WORDS)}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 900, "cache_read_input_tokens": 0, "output_tokens": 300},
    }


def messages_events() -> list[JSON]:
    text = {"type": "text", "text": ""}
    deltas = [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": word},
        }
        for word in WORDS
    ]
    return [
        {"type": "message_start", "message": {**messages_response(), "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]


def gemini_chunk(text: str) -> JSON:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 900,
            "candidatesTokenCount": 300,
            "totalTokenCount": 1200,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 900}],
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


def ollama_line(text: str, **more: Any) -> JSON:
    message = {"role": "assistant", "content": text}
    return {"model": "llama3.2", "created_at": "2026-11-24T12:00:00Z", "message": message, **more}


def cohere_response() -> JSON:
    usage = {"billed_units": {"input_tokens": 900, "output_tokens": 300}}
    content = [{"type": "text", "text": "".join(WORDS)}]
    message = {"role": "assistant", "content": content}
    return {"id": "c1", "finish_reason": "COMPLETE", "message": message, "usage": usage}


def cohere_events() -> list[JSON]:
    deltas = [
        {
            "type": "content-delta",
            "index": 0,
            "delta": {"message": {"content": {"text": word}}},
        }
        for word in WORDS
    ]
    end = {"finish_reason": "COMPLETE", "usage": cohere_response()["usage"]}
    return [*deltas, {"type": "message-end", "delta": end}]


def stream_case(name: str, wire_format: str, values: list[JSON], last: bytes = b"") -> Case:
    chunks = compact(values)
    body = b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks) + last
    return Case(name, wire_format, SSE, chunks, body)


def named_stream_case(name: str, wire_format: str, values: list[JSON]) -> Case:
    chunks = compact(values)
    events = (
        b"event: " + value["type"].encode() + b"\ndata: " + chunk + b"\n\n"
        for value, chunk in zip(values, chunks, strict=True)
    )
    return Case(name, wire_format, SSE, chunks, b"".join(events))


def plain_case(name: str, wire_format: str, value: JSON) -> Case:
    [body] = compact([value])
    return Case(name, wire_format, PLAIN, [body], body, TARGET_PLAIN_US)


def cases() -> list[Case]:
    gemini = [gemini_chunk(word) for word in WORDS]
    pretty = [json.dumps(value, indent=2).encode() for value in gemini]
    array = b"[" + b"\n,\r\n".join(pretty)
    lines = compact([*map(ollama_line, WORDS), ollama_line("", done=True, eval_count=300)])
    return [
        stream_case("chat completions", "openai_chat", chat_chunks(), b"data: [DONE]\n\n"),
        named_stream_case("Responses", "openai_responses", responses_events()),
        named_stream_case("Anthropic Messages", "anthropic_messages", messages_events()),
        stream_case("Gemini", "gemini", gemini),
        Case("Gemini, array", "gemini", PLAIN, pretty, array + b"\n]\n"),
        Case("Gemini, array, cut", "gemini", PLAIN, pretty[:-1], array[:-40]),
        Case("Ollama", "ollama", LINES, lines, b"".join(line + b"\n" for line in lines)),
        stream_case("Cohere", "cohere_chat", cohere_events()),
        plain_case("chat completions, plain", "openai_chat", chat_response()),
        plain_case("Responses, plain", "openai_responses", responses_response()),
        plain_case("Anthropic Messages, plain", "anthropic_messages", messages_response()),
        plain_case("Gemini, plain", "gemini", gemini_chunk("".join(WORDS))),
        plain_case("Cohere, plain", "cohere_chat", cohere_response()),
    ]


def cpu_us(work: Callable[[], object], runs: int = RUNS) -> float:
    """The least CPU that one of several runs took, for one call of `work`."""
    least = float("inf")
    for _ in range(runs):
        begin = time.process_time_ns()
        for _ in range(CALLS_A_RUN):
            work()
        least = min(least, (time.process_time_ns() - begin) / CALLS_A_RUN / 1000)
    return least


def parsing_us(case: Case, runs: int = RUNS) -> float:
    parse = by_name(case.wire_format).parse_response
    return cpu_us(lambda: parse(case.body, status=200, content_type=case.content_type), runs)


def pricing_us(case: Case, prices: Prices) -> float:
    wire_format = by_name(case.wire_format)
    response = wire_format.parse_response(case.body, status=200, content_type=case.content_type)
    assert response.content and response.usage, case.name
    at = datetime.now(UTC)
    model = response.response_model or "command-a-03-2025"

    def price() -> object:
        terms = BillingTerms(requested_model=model, provider=wire_format.PROVIDER)
        return prices.cost(response.usage, terms, at=at)

    return cpu_us(price)


def read_bare(case: Case) -> None:
    for chunk in case.chunks:
        orjson.loads(chunk)


@contextmanager
def other_checkout(folder: Path) -> Iterator[Callable[[Case], float]]:
    """Gives the function that asks the code in `folder` what parsing a case takes it."""
    with subprocess.Popen(
        [sys.executable, __file__, ANSWERS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin and process.stdout
        ask, answers = process.stdin, process.stdout

        def ask_for(case: Case) -> float:
            ask.write(f"{case.name}\n")
            return float(answers.readline())

        yield ask_for


def answer() -> None:
    by_case_name = {case.name: case for case in cases()}
    for line in sys.stdin:
        print(parsing_us(by_case_name[line.strip()], RUNS_A_ROUND), flush=True)


def row(case: Case, ours: float, prices: Prices, *compared: str) -> str:
    bare = cpu_us(lambda: read_bare(case))
    target = "met" if ours <= case.target_us else "**not met**"
    columns = (f"{ours:,.0f}", *compared, f"{bare:,.0f}", f"{ours / bare:.1f}")
    return (
        f"| {case.name} | {len(case.body):,} | {' | '.join(columns)}"
        f" | {pricing_us(case, prices):.1f} | ≤ {case.target_us:,} | {target} |"
    )


def heading(*compared: str) -> str:
    columns = ("Response", "Bytes", "µs", *compared, "Bare JSON, µs", "÷ bare", "Pricing, µs")
    return f"| {' | '.join(columns)} | Target, µs | |\n{'|---' * (len(columns) + 2)}|"


def compare(folder: Path) -> None:
    print(heading("before, µs", "÷ before"))
    prices = Prices()
    with other_checkout(folder) as ask_for:
        for case in cases():
            rounds = [(ask_for(case), parsing_us(case, RUNS_A_ROUND)) for _ in range(ROUNDS)]
            before, ours = (median(figures) for figures in zip(*rounds, strict=True))
            ratio = median(after / earlier for earlier, after in rounds)
            print(row(case, ours, prices, f"{before:,.0f}", f"{ratio:.2f}"))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.understanding",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("before", type=Path, nargs="?", help="the folder of another checkout")
    parser.add_argument(ANSWERS, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer()
    elif options.before:
        compare(options.before.resolve())
    else:
        print(heading())
        prices = Prices()
        for case in cases():
            print(row(case, parsing_us(case), prices))


if __name__ == "__main__":
    main()
