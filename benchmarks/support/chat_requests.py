"""The requests that the benchmark's own clients send, no two alike."""

import json

CALLS_PER_SESSION = 10
SYSTEM_PROMPT = (
    "You are a careful research assistant. Answer in short paragraphs, cite the documents you were "
    "given by number, say so when they do not answer the question, and never invent a source. "
) * 3


def chat_request(session_header: str, tag: str, number: int) -> bytes:
    """A chat completion, about 1.5 KB, over a connection that stays open."""
    return _post(session_header, tag, number, _chat(tag, number), "keep-alive")


def stream_request(session_header: str, tag: str, number: int, *headers: str) -> bytes:
    """A streamed chat completion, over a connection that ends with its response."""
    body = {**_chat(tag, number), "stream": True, "stream_options": {"include_usage": True}}
    return _post(session_header, tag, number, body, "close", *headers)


def head(session_header: str, session: str, length: int, *extra: str) -> bytes:
    """The head of a chat completion request whose body has `length` bytes."""
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        "user-agent: OpenAI/Python 2.12.0",
        "authorization: Bearer sk-benchmark",
        "content-type: application/json",
        f"content-length: {length}",
        f"{session_header}: {session}",
        *extra,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _post(
    session_header: str,
    tag: str,
    number: int,
    body: dict[str, object],
    connection: str,
    *headers: str,
) -> bytes:
    content = json.dumps(body).encode()
    session = f"{tag}-{number // CALLS_PER_SESSION}"
    lines = (f"connection: {connection}", *headers)
    return head(session_header, session, len(content), *lines) + content


def _chat(tag: str, number: int) -> dict[str, object]:
    document = f"Here is document {number} of run {tag}. " + "The committee met on a Tuesday. " * 10
    return {
        "model": "gpt-4o-mini",
        "temperature": 0.2,
        "user": f"user-{number}",
        "messages": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": document},
            {"role": "user", "content": f"Question {number}: which region comes first, and why?"},
        ],
    }
