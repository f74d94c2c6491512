"""Where requests go: to the one upstream, to a named one, to the provider of their API."""

from __future__ import annotations

import json

import anthropic
import httpx
import openai
import pytest

from agentledger_site import conf
from agentledger_site.variables import PREFIX
from capture.upstream.routing import Destination, Destinations, UnknownUpstream, provider_of
from capture.wire import registry
from tests.support.ledger import Ledger
from tests.support.provider import Provider


def destinations(**variables: str) -> Destinations:
    config = conf.read_config({PREFIX + name: v for name, v in variables.items()})
    return Destinations(config.upstreams, config.default_upstream_url)


def route(known: Destinations, path: str, **headers: str) -> tuple[str, str]:
    """Returns the name and the URL of the upstream that a POST goes to."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    bare = path.partition("?")[0]
    found, target = known.route(bare, path.encode(), raw, registry.for_path(bare))
    origin = str(found.origin).rstrip("/")
    return found.name, origin + found.full_target(target).decode()


@pytest.mark.parametrize(
    ("path", "headers", "name", "url"),
    [
        ("/v1/chat/completions", {}, "openai", "https://api.openai.com/v1/chat/completions"),
        ("/v1/responses", {}, "openai", "https://api.openai.com/v1/responses"),
        ("/v1/messages", {}, "anthropic", "https://api.anthropic.com/v1/messages"),
        (
            "/v1/messages?beta=true",
            {},
            "anthropic",
            "https://api.anthropic.com/v1/messages?beta=true",
        ),
        ("/v1/models", {}, "openai", "https://api.openai.com/v1/models"),
        (
            "/v1/models",
            {"anthropic_version": "2026-10-21"},
            "anthropic",
            "https://api.anthropic.com/v1/models",
        ),
        (
            "/v1beta/openai/chat/completions",
            {},
            "google",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        ),
        (
            "/v1/files",
            {"x_goog_api_key": "k"},
            "google",
            "https://generativelanguage.googleapis.com/v1/files",
        ),
    ],
)
def test_a_request_goes_to_the_provider_of_its_api(
    path: str, headers: dict[str, str], name: str, url: str
) -> None:
    assert route(destinations(), path, **headers) == (name, url)


def test_the_one_upstream_takes_everything() -> None:
    known = destinations(UPSTREAM_URL="http://gateway:4000/llm?key=k")
    assert route(known, "/v1/messages") == ("default", "http://gateway:4000/llm/v1/messages?key=k")
    assert route(known, "/v1/models?a=1", anthropic_version="x") == (
        "default",
        "http://gateway:4000/llm/v1/models?a=1&key=k",
    )
    assert known.urls() == {"default": "http://gateway:4000/llm"}


def test_named_upstreams_are_reached_by_prefix_and_by_header() -> None:
    named = {"groq": "https://api.groq.com/openai", "anthropic": "http://localhost:9"}
    known = destinations(UPSTREAM_URL="http://gateway:4000", UPSTREAMS=json.dumps(named))
    groq = ("groq", "https://api.groq.com/openai/v1/chat/completions")
    assert route(known, "/to/groq/v1/chat/completions") == groq
    assert route(known, "/v1/chat/completions", x_agentledger_upstream="groq") == groq
    assert route(known, "/to/anthropic/v1/messages")[1] == "http://localhost:9/v1/messages"
    assert route(known, "/to/openai/v1/models%2Fx")[1] == "https://api.openai.com/v1/models%2Fx"
    assert route(known, "/v1/messages")[0] == "default"
    with pytest.raises(UnknownUpstream, match="no upstream 'mistral'"):
        route(known, "/to/mistral/v1/chat/completions")


def test_a_named_provider_takes_the_calls_of_its_formats() -> None:
    known = destinations(UPSTREAMS='{"anthropic": "http://localhost:9/claude/"}')
    assert route(known, "/v1/messages") == ("anthropic", "http://localhost:9/claude/v1/messages")
    assert route(known, "/v1/responses")[0] == "openai"


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("my.openai.azure.com", "azure"),
        ("my.openai.azure.us", "azure"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "aws"),
        ("europe-west1-aiplatform.googleapis.com", "google"),
        ("openrouter.ai", "openrouter"),
        ("notopenai.com", None),
        ("openai.com.evil.example", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("::1", None),
    ],
)
def test_providers_are_known_by_their_hosts(host: str, provider: str | None) -> None:
    assert provider_of(host) == provider


def test_a_query_is_not_shown() -> None:
    assert Destination.from_url("x", "https://h/p?key=hidden").url == "https://h/p"


def test_one_proxy_serves_agents_of_several_providers(fresh: Ledger, provider: Provider) -> None:
    fresh.upstream_url = ""
    fresh.env["AGENTLEDGER_UPSTREAMS"] = json.dumps(
        {
            "openai": f"{provider.url}/of-openai",
            "anthropic": f"{provider.url}/of-anthropic?k=hidden",
            "local": f"{provider.url}/local",
        }
    )
    session = {"x-agentledger-session-id": "s"}
    message = {"role": "user", "content": "hi"}
    with fresh:
        with openai.OpenAI(base_url=f"{fresh.url}/v1", api_key="k", default_headers=session) as one:
            one.chat.completions.create(model="m", messages=[message])  # type: ignore[list-item]  # a dict
        with anthropic.Anthropic(base_url=fresh.url, api_key="k", default_headers=session) as other:
            other.messages.create(model="m", max_tokens=9, messages=[message])  # type: ignore[list-item]  # a dict
        url = f"{fresh.url}/to/local/v1/chat/completions?a=%20b"
        body = {"model": "m", "messages": [message]}
        assert httpx.post(url, json=body, headers=session).status_code == 200
        unknown = httpx.post(f"{fresh.url}/to/elsewhere/v1/chat/completions", json=body)
        calls = fresh.calls("s", count=3)
        log = fresh.log.read_text()
    assert unknown.status_code == 404
    assert "no upstream 'elsewhere'" in unknown.json()["error"]["message"]
    assert [request.line for request in provider.requests()] == [
        "POST /of-openai/v1/chat/completions HTTP/1.1",
        "POST /of-anthropic/v1/messages?k=hidden HTTP/1.1",
        "POST /local/v1/chat/completions?a=%20b HTTP/1.1",
    ]
    assert [(call["upstream_name"], call["provider"]) for call in calls] == [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("local", "openai"),
    ]
    assert calls[1]["upstream"] == f"{provider.url}/of-anthropic"
    assert calls[2]["path"] == "/to/local/v1/chat/completions"
    assert f"Upstream anthropic  {provider.url}/of-anthropic\n" in log
    assert "hidden" not in log
