"""Routes requests: to the one upstream that is configured, to the one that a request names, or to
the maker of its credential or its API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from capture.upstream.headers import RawHeaders
from capture.upstream.makers import PROVIDER_URLS, VERTEX, UnknownMaker, find_upstreams
from capture.wire import hosts
from capture.wire.types import WireFormat

UPSTREAM_PREFIX = b"/to/"
UPSTREAM_HEADER = b"x-agentledger-upstream"

# By the end of a host's name.
_PROVIDERS = {
    **dict.fromkeys(hosts.AZURE, "azure"),
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


_ADVICE = (
    "set AGENTLEDGER_UPSTREAM_URL to the upstream of all requests, or name its own in"
    ' AGENTLEDGER_UPSTREAMS, as in {{"{name}": "https://…"}}, and call /to/{name}/…'
)


class UnknownUpstream(Exception):
    """A request names an upstream that is not configured, or it cannot be told to whom it may go.
    The message is for the agent's developer."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One upstream, its URL in the parts that the URL of a request is made of."""

    name: str
    url: str  # without its query, which may hold a key
    origin: URL  # scheme, host and port
    authority: str  # host and port, for messages
    path: bytes  # without its last slash
    query: bytes
    provider: str | None  # None: its host belongs to no provider that we know

    @classmethod
    def from_url(cls, name: str, url: str) -> Destination:
        parsed = URL(url)
        origin, path = parsed.origin(), parsed.raw_path.rstrip("/")
        return cls(
            name=name,
            url=str(origin).rstrip("/") + path,
            origin=origin,
            authority=parsed.raw_authority,
            path=path.encode(),
            query=parsed.raw_query_string.encode(),
            provider=provider_of(parsed.host or ""),
        )

    def full_target(self, target: bytes) -> bytes:
        """Returns the raw path and query of a request, after those of this upstream's URL."""
        whole = self.path + target
        if self.query:
            whole += (b"&" if b"?" in target else b"?") + self.query
        return whole


class Route(NamedTuple):
    """The upstream that a request goes to, and the target there."""

    destination: Destination
    target: bytes


def provider_of(host: str) -> str | None:
    labels = host.lower().split(".")
    names = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return next((_PROVIDERS[name] for name in names if name in _PROVIDERS), None)


class Destinations:
    """The upstreams of a configuration: `upstreams` by name, and `default_url`, where all requests
    go that name none. Without it they go to the maker of their API and their credential."""

    def __init__(self, upstreams: Mapping[str, str], default_url: str | None) -> None:
        urls = {**PROVIDER_URLS, **upstreams}
        self._named = {name: Destination.from_url(name, url) for name, url in urls.items()}
        self._configured = frozenset(upstreams)
        self._default = None
        if default_url is not None:
            self._default = Destination.from_url("default", default_url)

    def route(
        self, path: str, target: bytes, headers: RawHeaders, wire_format: WireFormat | None
    ) -> Route:
        """Returns the route of a request; its target lacks our prefix. Raises UnknownUpstream."""
        if target.startswith(UPSTREAM_PREFIX):
            name, slash, rest = target[len(UPSTREAM_PREFIX) :].partition(b"/")
            return Route(self._by_name(name), slash + rest)
        for header, value in headers:
            if header == UPSTREAM_HEADER:
                return Route(self._by_name(value.strip()), target)
        if self._default is not None:
            return Route(self._default, target)
        return Route(self._home(path, target, headers, wire_format), target)

    def _by_name(self, name: bytes) -> Destination:
        found = self._named.get(name.decode("latin-1"))
        if found is None:
            known = ", ".join(sorted(self._named))
            shown = name[:60].decode("latin-1")
            raise UnknownUpstream(f"there is no upstream {shown!r}; there are {known}")
        return found

    def _home(
        self, path: str, target: bytes, headers: RawHeaders, wire_format: WireFormat | None
    ) -> Destination:
        """Returns the upstream of the maker whose API and credential a request has."""
        try:
            makers = find_upstreams(path, target, headers, wire_format)
        except UnknownMaker as error:
            advice = _ADVICE.format(name="name")
            raise UnknownUpstream(f"this request goes nowhere: {error}; {advice}") from None
        for name in makers:
            if name in self._named:
                return self._named[name]
        if makers == (VERTEX,) and "google" in self._configured:
            return self._named["google"]
        advice = _ADVICE.format(name=makers[0])
        raise UnknownUpstream(f"no upstream is configured for {' or '.join(makers)}: {advice}")

    def urls(self) -> Mapping[str, str]:
        """Returns the URL of each upstream that requests can reach, by name. Where all requests go
        to one upstream, it is `default`, and the providers are left out."""
        urls = {name: destination.url for name, destination in self._named.items()}
        if self._default is None:
            return urls
        own = {name: url for name, url in urls.items() if name not in PROVIDER_URLS}
        return {"default": self._default.url, **own}
