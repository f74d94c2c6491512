"""With nothing configured, a credential goes to its maker and to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from capture.upstream.routing import Destinations, UnknownUpstream
from capture.views import read_path_of
from tests.support.ledger import Ledger
from tests.support.provider import Provider

VERTEX = "/v1/projects/p/locations/l/publishers"
CHAT, GEMINI = "/v1/chat/completions", "/v1beta/models/gemini-3-pro:generateContent"
NOWHERE = "nowhere"


def goes_to(target: str, *headers: tuple[str, str], method: str = "POST", **named: str) -> str:
    """Returns the name of the upstream of a request, or `nowhere`."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    path, wire_format = read_path_of(method, target.partition("?")[0], ())
    try:
        found = Destinations(named, None).route(path, target.encode(), raw, wire_format)
    except UnknownUpstream as error:
        assert "AGENTLEDGER_UPSTREAM" in str(error)
        return NOWHERE
    return found.destination.name


def bearer(secret: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {secret}")


OAUTH, OPENAI, OPAQUE = bearer("sk-ant-oat01-x"), bearer("sk-proj-x"), bearer("0123456789abcdef")
CLAUDE_KEY, GOOGLE_KEY = ("x-api-key", "k"), ("x-goog-api-key", "k")
GOOGLE_TOKEN = bearer("ya29.x")


@pytest.mark.parametrize(
    ("target", "headers", "maker"),
    [
        # Anthropic's
        ("/v1/models", [OAUTH], "anthropic"),
        ("/v1/models/claude-opus-5-5", [CLAUDE_KEY], "anthropic"),
        ("/v1/files", [OAUTH], "anthropic"),
        ("/v1/files/file_1/content", [CLAUDE_KEY], "anthropic"),
        ("/v1/messages/batches", [OAUTH], "anthropic"),
        ("/v1/messages/batches/b/results", [], "anthropic"),
        ("/api/event_logging/batch", [OAUTH], "anthropic"),
        ("/api/event_logging/v2/batch", [], "anthropic"),
        ("/api/claude_code/organizations/metrics_enabled", [OAUTH], "anthropic"),
        ("/api/oauth/profile", [OAUTH], "anthropic"),
        (
            "/v1/organizations/usage_report/messages",
            [("x-api-key", "sk-ant-admin01-x")],
            "anthropic",
        ),
        ("/v1/skills", [("anthropic-beta", "skills-2025-10-02"), CLAUDE_KEY], "anthropic"),
        ("/v1/anything", [OAUTH], "anthropic"),
        (CHAT, [OAUTH], "anthropic"),  # which it has too, in OpenAI's format
        (CHAT, [("authorization", "bearer  sk-ant-api03-x")], "anthropic"),
        ("/v1/messages", [OPAQUE], "anthropic"),
        ("/v1/messages", [OPAQUE, ("x-api-key", "0123456789abcdef")], "anthropic"),
        # Google's
        ("/v1/models?key=AIzaX", [], "google"),
        ("/v1/models?k%65y=AIzaX", [], "google"),
        ("/v1/files?alt=json&key=x", [], "google"),
        ("/v1/files", [GOOGLE_KEY], "google"),
        ("/v1/models", [bearer("AQ.Ab8x")], "google"),
        ("/upload/v1beta/files?key=AIzaX", [OPAQUE], "google"),
        ("/upload/v1/files", [], "google"),
        ("/v1beta/cachedContents?key=AIzaX", [], "google"),
        ("/V1Beta/files", [], "google"),
        ("/v1alpha/auth_tokens", [GOOGLE_KEY], "google"),
        ("/v1beta/openai/chat/completions", [bearer("AIzaX")], "google"),
        ("/v1beta/models/g:batchGenerateContent?key=AIzaX", [], "google"),
        ("/v1/models/g:batchGenerateContent", [], "google"),
        ("/v1/models/e:asyncBatchEmbedContent", [], "google"),
        ("/v1beta/models/veo:predictLongRunning", [GOOGLE_KEY], "google"),
        ("/download/v1beta/files/f:download?alt=media", [GOOGLE_KEY], "google"),
        (GEMINI, [GOOGLE_TOKEN], "google"),
        (CHAT, [bearer("AIzaX")], "google"),
        # OpenAI's, and whatever is shaped like it
        (CHAT, [OPAQUE], "openai"),
        (CHAT, [], "openai"),
        (CHAT, [bearer("eyJhbGciOi.x.y")], "openai"),
        ("/chat/completions", [bearer("sk-0123")], "openai"),
        ("/v1/models", [OPAQUE], "openai"),
        ("/v1/models/ft:gpt-4o-mini:acme::abc123", [OPENAI], "openai"),
        ("/v1/files", [bearer("sk-0123")], "openai"),
        ("/v1/vector_stores/vs_1/search", [OPAQUE], "openai"),
        ("/v1/fine_tuning/jobs", [OPENAI], "openai"),
        ("/v1/new-in-2027", [OPENAI], "openai"),
        ("/v1/new-in-2027", [("openai-beta", "x"), OPAQUE], "openai"),
        (CHAT, [("x-api-key", "sk-proj-x"), OPENAI], "openai"),
        # nobody's, or somebody's who is not configured
        (f"{VERTEX}/google/models/g:generateContent", [GOOGLE_TOKEN], NOWHERE),
        (f"{VERTEX}/anthropic/models/c:rawPredict", [GOOGLE_TOKEN], NOWHERE),
        (f"{VERTEX}/anthropic/models/c:rawPredict", [OAUTH], NOWHERE),
        ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", [GOOGLE_TOKEN], NOWHERE),
        ("/v1beta1/projects/p/locations/l/cachedContents", [GOOGLE_TOKEN], NOWHERE),
        ("/v1/publishers/google/models/g:generateContent?key=AQ.x", [], NOWHERE),
        ("/openai/deployments/d/chat/completions?api-version=v", [("api-key", "k")], NOWHERE),
        ("/openai/deployments/d/chat/completions", [OPAQUE], NOWHERE),
        ("/openai/v1/responses", [OPAQUE], NOWHERE),
        (CHAT, [("api-key", "k")], NOWHERE),
        ("/model/anthropic.claude-opus-5/converse", [OPAQUE], NOWHERE),
        ("/model/m/invoke", [("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/x")], NOWHERE),
        ("/v2/chat", [OPAQUE], NOWHERE),
        ("/api/chat", [], NOWHERE),
        ("/anthropic/v1/messages", [CLAUDE_KEY], NOWHERE),
        ("/v1/messages", [bearer("sk-or-v1-x")], NOWHERE),
        ("/v1/messages", [bearer("gho_x")], NOWHERE),
        (CHAT, [bearer("gsk_x")], NOWHERE),
        ("/v1/realtime", [bearer("xai-x")], NOWHERE),
        ("/api/v1/chat/completions", [OPAQUE], NOWHERE),
        ("/anything", [OPAQUE], NOWHERE),
        ("/v1/custom", [], NOWHERE),
        ("/api/event_logging/batch", [OPENAI], NOWHERE),
        # contradictions
        (f"{GEMINI}?key=AIzaX", [OAUTH], NOWHERE),
        ("/v1/models?key=x", [CLAUDE_KEY], NOWHERE),
        ("/v1/models?key=x", [OPENAI], NOWHERE),
        ("/v1/files", [CLAUDE_KEY, GOOGLE_KEY], NOWHERE),
        (CHAT, [OPENAI, ("x-api-key", "sk-ant-x")], NOWHERE),
        ("/v1/messages", [OPENAI], NOWHERE),
        (GEMINI, [CLAUDE_KEY], NOWHERE),
        (CHAT, [OPENAI, OAUTH], NOWHERE),
        # a prefix of ours that is written in another way
        ("/%74o/groq/v1/chat/completions", [OPAQUE], NOWHERE),
        ("//to/groq/v1/models", [OPAQUE], NOWHERE),
    ],
)
def test_a_credential_goes_to_its_maker(
    target: str, headers: list[tuple[str, str]], maker: str
) -> None:
    assert goes_to(target, *headers) == maker


def test_a_maker_that_is_configured_by_its_name_has_what_is_its_own() -> None:
    url = "http://localhost:9"
    vertex = f"{VERTEX}/anthropic/models/c:rawPredict"
    assert goes_to(vertex, GOOGLE_TOKEN, vertex=url) == "vertex"
    assert goes_to(vertex, GOOGLE_TOKEN, google=url) == "google"
    assert goes_to(vertex, OAUTH, vertex=url) == NOWHERE
    assert goes_to("/openai/deployments/d/chat/completions", ("api-key", "k"), azure=url) == "azure"
    assert goes_to("/openai/v1/chat/completions", bearer("gsk_x"), groq=url) == "groq"
    assert goes_to("/openai/v1/chat/completions", OPAQUE, groq=url) == "groq"
    assert goes_to("/v1/messages", bearer("sk-or-v1-x"), openrouter=url) == "openrouter"
    assert goes_to("/model/m/converse", OPAQUE, aws=url) == "aws"
    assert goes_to("/v2/chat", OPAQUE, cohere=url) == "cohere"


def test_a_preflight_goes_where_the_request_after_it_will_go() -> None:
    asks = ("access-control-request-headers", "content-type, anthropic-version,x-api-key")
    assert goes_to("/v1/models", asks, method="OPTIONS") == "anthropic"
    assert goes_to("/v1/models", method="OPTIONS") == "openai"


# --- through the front door ---


@pytest.fixture(scope="module")
def makers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Ledger, dict[str, Provider]]]:
    names = ("openai", "anthropic", "google")
    with Provider() as one, Provider() as two, Provider() as three:
        providers = dict(zip(names, (one, two, three), strict=True))
        urls = {name: provider.url for name, provider in providers.items()}
        env = {"AGENTLEDGER_UPSTREAMS": json.dumps(urls)}
        with Ledger(tmp_path_factory.mktemp("makers"), "", env=env) as ledger:
            yield ledger, providers


def test_what_goes_nowhere_is_told_in_json(makers: tuple[Ledger, dict[str, Provider]]) -> None:
    ledger, providers = makers
    response = httpx.post(f"{ledger.url}/v1/secret/things", headers=dict([OPAQUE]), json={})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    message = response.json()["error"]["message"]
    assert "AGENTLEDGER_UPSTREAM_URL" in message
    assert "0123456789abcdef" not in message
    assert not any(provider.requests() for provider in providers.values())


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/unknown"])
def test_a_websocket_goes_to_no_other_maker(
    makers: tuple[Ledger, dict[str, Provider]], path: str
) -> None:
    ledger, providers = makers
    address = ledger.url.replace("http", "ws") + path
    key = "openai-insecure-api-key.xai-x"
    with pytest.raises(InvalidStatus) as denied:
        connect(address, subprotocols=["realtime", key]).close()  # type: ignore[list-item]  # plain names
    assert denied.value.response.status_code == 404
    assert b"AGENTLEDGER_UPSTREAM_URL" in (denied.value.response.body or b"")
    assert not any(provider.requests() for provider in providers.values())
