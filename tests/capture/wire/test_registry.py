from __future__ import annotations

import pytest

from capture.wire.registry import FREE_FORMATS, by_name, for_path
from capture.wire.types import ParsedRequest, ParsedResponse


@pytest.mark.parametrize(
    ("path", "name", "provider"),
    [
        ("/v1/chat/completions", "openai_chat", "openai"),
        ("v1/chat/completions", "openai_chat", "openai"),
        ("/chat/completions", "openai_chat", "openai"),
        ("chat/completions", "openai_chat", "openai"),
        ("/openai/deployments/my gpt/chat/completions", "openai_chat", "openai"),
        ("/v1beta/openai/chat/completions", "openai_chat", "openai"),
        ("/v1/agents/completions", "openai_chat", "openai"),
        ("/v1/responses", "openai_responses", "openai"),
        ("openai/responses", "openai_responses", "openai"),
        ("/v1/responses/compact", "openai_responses", "openai"),
        ("/v1/responses/input_tokens", "openai_input_tokens", "openai"),
        ("/v1/completions", "openai_completions", "openai"),
        ("/openai/deployments/d/completions", "openai_completions", "openai"),
        ("/v1/fim/completions", "openai_completions", "openai"),
        ("/v1/embeddings", "openai_embeddings", "openai"),
        ("/v1/images/generations", "openai_images", "openai"),
        ("/openai/deployments/d/images/edits", "openai_images", "openai"),
        ("/v1/images/variations", "openai_images", "openai"),
        ("/openai/v1/audio/transcriptions", "openai_audio", "openai"),
        ("/v1/audio/translations", "openai_audio", "openai"),
        ("/v1/audio/speech", "openai_audio", "openai"),
        ("/v1/moderations", "openai_moderations", "openai"),
        ("/v1/decisions", "openai_decisions", "openai"),
        ("/v1/messages", "anthropic_messages", "anthropic"),
        ("/api/v1/messages", "anthropic_messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic_count_tokens", "anthropic"),
        (
            "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-4-1@20250805"
            ":streamRawPredict",
            "anthropic_messages",
            "anthropic",
        ),
        ("/publishers/anthropic/models/claude:rawPredict", "anthropic_messages", "anthropic"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
            "anthropic_count_tokens",
            "anthropic",
        ),
        ("/v1/models/gemini-2.5-pro:generateContent", "gemini", "google"),
        ("v1beta/models/gemini-2.5-pro:streamGenerateContent", "gemini", "google"),
        ("/v1alpha/tunedModels/mine:generateContent", "gemini", "google"),
        (
            "/v1/projects/p/locations/l/publishers/google/models/g-1:streamGenerateContent",
            "gemini",
            "google",
        ),
        ("/v1/projects/p/locations/l/endpoints/7:generateContent", "gemini", "google"),
        ("/to/litellm/v1beta/models/openai/gpt-4o:generateContent", "gemini", "google"),
        ("/v1beta/models/e:embedContent", "gemini_embeddings", "google"),
        ("/v1beta/models/e:batchEmbedContents", "gemini_embeddings", "google"),
        ("/v1beta/models/g-1:countTokens", "gemini_count_tokens", "google"),
        ("/v1beta/models/imagen:predict", "gemini_predict", "google"),
        ("/v1/projects/p/locations/l/endpoints/7:predict", "gemini_predict", "google"),
        ("/v1beta/models/veo:predictLongRunning", "gemini_long_running", "google"),
        ("/v1beta/cachedContents", "gemini_caches", "google"),
        ("/v1/projects/p/locations/l/cachedContents", "gemini_caches", "google"),
        ("/v1beta/models/g-1:batchGenerateContent", "gemini_batch_creation", "google"),
        ("/v1beta/models/e:asyncBatchEmbedContent", "gemini_batch_creation", "google"),
        ("/v1/projects/p/locations/l/batchPredictionJobs", "gemini_batch_creation", "google"),
        ("/v1/messages/batches", "anthropic_batch_creation", "anthropic"),
        ("/v1/batches", "openai_batch_creation", "openai"),
        ("/openai/batches", "openai_batch_creation", "openai"),
        ("/openai/v1/batches", "openai_batch_creation", "openai"),
        ("/v1/batch/jobs", "openai_batch_creation", "openai"),
        ("/v1/interactions", "gemini_interactions", "google"),
        ("/to/google/v1beta/interactions", "gemini_interactions", "google"),
        ("/v1beta1/projects/p/locations/l/interactions", "gemini_interactions", "google"),
        ("/api/chat", "ollama", "ollama"),
        ("api/generate", "ollama", "ollama"),
        ("/to/local/api/embed", "ollama", "ollama"),
        ("/api/embeddings", "ollama", "ollama"),
        ("/api/chat/completions", "openai_chat", "openai"),
        ("/api/v1/embeddings", "openai_embeddings", "openai"),
        ("/v2/chat", "cohere_chat", "cohere"),
        ("/to/cohere/v2/chat", "cohere_chat", "cohere"),
        ("/v2/embed", "cohere_embeddings", "cohere"),
        ("/model/us.amazon.nova-pro-v1:0/converse", "bedrock_converse", "aws"),
        ("model/m/converse-stream", "bedrock_converse", "aws"),
        (
            "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.m-v1:0/converse",
            "bedrock_converse",
            "aws",
        ),
        ("/to/aws/model/m/invoke", "bedrock_invoke", "aws"),
        (
            "/model/arn:aws:bedrock:us-east-1:1:custom-model/m:300k/abc"
            "/invoke-with-response-stream",
            "bedrock_invoke",
            "aws",
        ),
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
        "/v1/messages/batches/b/cancel",
        "/v1/batches/b/cancel",
        "/v1/vector_stores/v/file_batches",
        "/v1beta/cachedContents/c",
        "/v1/threads/t1/messages",
        "/messages",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/chat/completions/",
        "/v1/chat/completions\n",
        "/v1/mychat/completions",
        "/v1/my-responses",
        "/v1/chat",
        "/v2/chats",
        "/model/m/count-tokens",
        "/model/m/invoke-with-bidirectional-stream",
        "/model/m/converse/",
        "/model/converse",
        "/supermodel/m/invoke",
        "/v1/publishers/anthropic/models/claude:countTokens",
        "/v1/publishers/mistralai/models/m:rawPredict",
        "/v1/models/g-1",
        "/v1/models/g-1:fetchPredictOperation",
        "/v1/models/a/b/c/d:generateContent",
        "/v1/interactions/int_1",
        "/v1/interactions/int_1/cancel",
        "/interactions",
        "/api/tags",
        "/api/pull",
        "/v1/images",
        "/v1/audio/voices",
        "/v1/files",
    ],
)
def test_other_paths_have_no_format(path: str) -> None:
    assert for_path(path) is None


def test_raw_reads_what_all_apis_have_in_common() -> None:
    raw = by_name("raw")
    assert raw.PROVIDER == "unknown"
    assert raw.parse_request(b'{"model":"m","stream":true,"messages":[1]}') == ParsedRequest(
        "m", True
    )
    parsed_response = raw.parse_response(
        b'{"id":"x","model":"m-1","choices":[]}', status=200, content_type="application/json"
    )
    assert parsed_response == ParsedResponse(response_model="m-1", response_id="x", complete=True)
    streamed = raw.parse_response(b'data: {"error":"no"}\n\n', status=200, content_type="")
    assert (streamed.error, streamed.complete) == ("no", False)
    assert raw.tool_results(b'{"role":"tool"}') == []


def test_counting_and_moderation_are_free() -> None:
    assert {"openai_moderations", "openai_input_tokens", "anthropic_count_tokens"} <= FREE_FORMATS
    assert {"gemini_count_tokens", "openai_batch_creation"} <= FREE_FORMATS
    assert not {"openai_chat", "openai_decisions", "gemini_caches", "raw"} & FREE_FORMATS


def test_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        by_name("smoke signals")
