"""Where a request goes: to the one upstream, to a named one, or home to the maker of its API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from capture.wire.types import WireFormat

RawHeaders = Sequence[tuple[bytes, bytes]]

# By the maker of a wire format. Of all others, and of what we do not know, OpenAI is the home.
HOMES = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
}
PREFIX = b"/to/"
HEADER = b"x-agentledger-upstream"

# Google's API versions; the other two have none of these names.
_GOOGLES_PATHS = ("/v1beta/", "/v1alpha/")
_TELLING_HEADERS = {b"anthropic-version": "anthropic", b"x-goog-api-key": "google"}

# Whose server a host is, by the end of its name.
_MAKERS = {
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "googleapis.com": "google",
    "amazonaws.com": "aws",
    "groq.com": "groq",
    "mistral.ai": "mistral",
    "deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
    "x.ai": "x-ai",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "together.xyz": "together",
    "together.ai": "together",
    "fireworks.ai": "fireworks",
    "perplexity.ai": "perplexity",
    "moonshot.ai": "moonshotai",
    "moonshot.cn": "moonshotai",
    "cerebras.ai": "cerebras",
    "novita.ai": "novita",
    "minimax.io": "minimax",
    "z.ai": "zai",
    "bigmodel.cn": "zhipuai",
    "voyageai.com": "voyageai",
    "huggingface.co": "huggingface",
    "ollama.com": "ollama",
}


class UnknownUpstream(Exception):
    """A request names an upstream that there is not: the message is for the agent's developer."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One upstream, its URL in the pieces that a request's is made of."""

    name: str
    origin: URL  # scheme, host and port
    authority: str  # host and port, for messages
    path: bytes  # without its last slash
    query: bytes
    provider: str | None  # None: its host is nobody's that we know

    @classmethod
    def of(cls, name: str, url: str) -> Destination:
        parsed = URL(url)
        return cls(
            name=name,
            origin=parsed.origin(),
            authority=parsed.raw_authority,
            path=parsed.raw_path.rstrip("/").encode(),
            query=parsed.raw_query_string.encode(),
            provider=provider_of(parsed.host or ""),
        )

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold a key."""
        return str(self.origin).rstrip("/") + self.path.decode()

    def target_of(self, target: bytes) -> bytes:
        """What a request for this raw path and query asks this upstream for."""
        whole = self.path + target
        if self.query:
            whole += (b"&" if b"?" in target else b"?") + self.query
        return whole


class Way(NamedTuple):
    """Where a request goes, and its target there."""

    destination: Destination
    target: bytes


def provider_of(host: str) -> str | None:
    labels = host.lower().split(".")
    names = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return next((_MAKERS[name] for name in names if name in _MAKERS), None)


class Destinations:
    """All upstreams of a configuration: `upstreams` by name, and `default_url`, which takes every
    request that names none; without it, each provider's calls go to that provider."""

    def __init__(self, upstreams: Mapping[str, str], default_url: str | None) -> None:
        urls = {**HOMES, **upstreams}
        self._named = {name: Destination.of(name, url) for name, url in urls.items()}
        self._every = None
        if default_url is not None:
            self._every = Destination.of("default", default_url)

    def of(
        self, path: str, target: bytes, headers: RawHeaders, wire_format: WireFormat | None
    ) -> Way:
        """Without our prefix in the target. Raises UnknownUpstream."""
        if target.startswith(PREFIX):
            name, slash, rest = target[len(PREFIX) :].partition(b"/")
            return Way(self._by_name(name), slash + rest)
        for header, value in headers:
            if header == HEADER:
                return Way(self._by_name(value.strip()), target)
        home = self._every or self._named[self._home(path, headers, wire_format)]
        return Way(home, target)

    def _by_name(self, name: bytes) -> Destination:
        found = self._named.get(name.decode("latin-1"))
        if found is None:
            known = ", ".join(sorted(self._named))
            shown = name[:60].decode("latin-1")
            raise UnknownUpstream(f"there is no upstream {shown!r}; there are {known}")
        return found

    def _home(self, path: str, headers: RawHeaders, wire_format: WireFormat | None) -> str:
        if path.startswith(_GOOGLES_PATHS):
            return "google"
        if wire_format is not None and wire_format.PROVIDER in self._named:
            return wire_format.PROVIDER
        if wire_format is None:
            for header, _ in headers:
                if header in _TELLING_HEADERS:
                    return _TELLING_HEADERS[header]
        return "openai"

    def described(self) -> Mapping[str, str]:
        """What the operator is told: name and URL, `default` alone where it takes everything."""
        shown = {name: destination.shown for name, destination in self._named.items()}
        if self._every is None:
            return shown
        own = {name: url for name, url in shown.items() if name not in HOMES}
        return {"default": self._every.shown, **own}
