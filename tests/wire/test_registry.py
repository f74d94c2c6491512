from __future__ import annotations

import pytest

from capture.wire import by_name, for_path
from capture.wire.types import Answered, Asked


@pytest.mark.parametrize(
    ("path", "name", "provider"),
    [
        ("/v1/chat/completions", "openai_chat", "openai"),
        ("v1/chat/completions", "openai_chat", "openai"),
        ("/chat/completions", "openai_chat", "openai"),
        ("chat/completions", "openai_chat", "openai"),
        ("/openai/deployments/my gpt/chat/completions", "openai_chat", "openai"),
        ("/v1beta/openai/chat/completions", "openai_chat", "openai"),
        ("/v1/responses", "openai_responses", "openai"),
        ("openai/responses", "openai_responses", "openai"),
        ("/v1/messages", "anthropic_messages", "anthropic"),
        ("/api/v1/messages", "anthropic_messages", "anthropic"),
    ],
)
def test_format_is_found_by_path(path: str, name: str, provider: str) -> None:
    found = for_path(path)
    assert found is not None
    assert (name, provider) == (found.NAME, found.PROVIDER)
    assert by_name(name) is found


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/threads/t1/messages",
        "/messages",
        "/v1/responses/resp_1",
        "/v1/responses/compact",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/chat/completions/",
        "/v1/chat/completions\n",
        "/v1/mychat/completions",
        "/v1/my-responses",
        "/v1/completions",
        "/v1/embeddings",
    ],
)
def test_other_paths_have_no_format(path: str) -> None:
    assert for_path(path) is None


def test_raw_reads_what_all_apis_have_in_common() -> None:
    raw = by_name("raw")
    assert raw.PROVIDER == "unknown"
    assert raw.parse_request(b'{"model":"m","stream":true,"messages":[1]}') == Asked("m", True)
    answered = raw.parse_answer(
        b'{"id":"x","model":"m-1","choices":[]}', status=200, content_type="application/json"
    )
    assert answered == Answered(response_model="m-1", response_id="x", complete=True)
    streamed = raw.parse_answer(b'data: {"error":"no"}\n\n', status=200, content_type="")
    assert (streamed.error, streamed.complete) == ("no", False)
    assert raw.tool_results(b'{"role":"tool"}') == []


def test_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        by_name("smoke signals")
