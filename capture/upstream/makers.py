"""Which maker's API a request speaks, where no upstream takes everything.

A credential goes to its maker and to nobody else. Where it does not tell whose it is, the path
does, then the headers of an API. What is shaped like OpenAI's goes to OpenAI then; for anything
else nobody is guessed.
"""

from __future__ import annotations

import re

from capture.upstream.credentials import find_makers
from capture.upstream.headers import RawHeaders
from capture.wire.paths import cached_by_path
from capture.wire.types import WireFormat

# Of those to whom calls go where nothing is configured.
PROVIDER_URLS = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
}
OPENAI = "openai"
# Vertex has a server for each region, and other makers' models; none of them is the Gemini API's.
VERTEX = "vertex"

# Not `:` alone: the id of a model that was fine-tuned has colons too.
_GOOGLE_VERBS = r"(?:batch|asyncBatch|generate|streamGenerate|embed|count|predict|compute)\w*$"
# Paths that one maker has, or those named; the first that matches counts.
_OWNERS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL).match, owners)
    for pattern, owners in (
        (r".*/projects/[^/]+/locations/|.*/publishers/[^/]+/models/", (VERTEX,)),
        (r"/(?:upload/|download/|ws/)?v1(?:beta\d*|alpha\d*)/|/v1internal:", ("google",)),
        (r"/upload/|/ws/google\.|.*/(?:models|tunedModels)/[^/]+:" + _GOOGLE_VERBS, ("google",)),
        (r"/v1/(?:messages|complete|organizations)(?:/|$)", ("anthropic",)),
        (r"/api/(?:event_logging|claude_\w+|oauth|hello)(?:/|$)", ("anthropic",)),
        (r"/openai/deployments/", ("azure",)),
        (r"/openai/", ("azure", "groq", "aws")),
        (r"(?:/api|/apps)?/anthropic/", ("azure", "deepseek", "moonshotai", "minimax", "zai")),
        (r"/api/v1/", ("openrouter",)),
        (r"/inference/v1/", ("fireworks",)),
        (r"/compatible-mode/", ("alibaba",)),
        (r"/api/(?:paas|coding)/", ("zai", "zhipuai")),
        (r"/api/v3/", ("volcengine",)),
        (r"/backend-api/", ("chatgpt",)),
        (r"/v1/(?:(?:agents|fim)/completions|ocr)$", ("mistral",)),
    )
)
# The beginnings of OpenAI's paths, which many others have too.
_is_shaped_like_openai = re.compile(
    r"/v1/(?:models|files|batches|uploads|fine[_-]tun\w+|vector_stores|assistants|threads"
    r"|conversations|containers|evals|organization|projects|videos|realtime|audio|images|chat"
    r"|responses|completions|embeddings|moderations|engines|edits|chatkit|skills|usage"
    r"|dashboard)(?:/|$)",
    re.IGNORECASE,
).match
_API_HEADERS = {b"anthropic-": "anthropic", b"x-goog-": "google", b"openai-": OPENAI}
_find_api_header = re.compile(b"|".join(map(re.escape, _API_HEADERS))).match
# A preflight names the headers that the request after it will have.
_ASKS_HEADERS = b"access-control-request-headers"


class UnknownMaker(Exception):
    """Nobody can be told to whom a request belongs. The message is for the agent's developer."""


def find_upstreams(
    path: str, target: bytes, headers: RawHeaders, wire_format: WireFormat | None
) -> tuple[str, ...]:
    """Returns the makers any of whom a request may go to. Raises UnknownMaker."""
    if path[:4].lower() == "/to/":
        raise UnknownMaker("its path names an upstream, but does not begin with /to/ as it is sent")
    claimed = find_makers(target, headers)
    if len(claimed) > 1:
        raise UnknownMaker(f"its credentials are of several makers ({', '.join(sorted(claimed))})")
    owners = owners_of(path, wire_format)
    if not claimed:
        return owners or _by_api_header(headers) or _shaped_like_openai(path, wire_format)
    [maker] = claimed
    if owners == (VERTEX,) and maker == "google":
        return owners
    # Who is configured by name may have whatever path.
    if not owners or maker in owners or maker not in PROVIDER_URLS:
        return (maker,)
    raise UnknownMaker(f"its credential is of {maker}, its path of {' or '.join(owners)}")


def owners_of(path: str, wire_format: WireFormat | None) -> tuple[str, ...]:
    """Returns the makers that have this path; none, if anybody may have it."""
    owners = _owners_by_path(path)
    if owners or wire_format is None or wire_format.PROVIDER in (OPENAI, "unknown"):
        return owners
    return (wire_format.PROVIDER,)


@cached_by_path
def _owners_by_path(path: str) -> tuple[str, ...]:
    return next((owners for match, owners in _OWNERS if match(path)), ())


def _by_api_header(headers: RawHeaders) -> tuple[str, ...]:
    for name, value in headers:
        names = value.lower().replace(b" ", b"").split(b",") if name == _ASKS_HEADERS else (name,)
        for one in names:
            found = _find_api_header(one)
            if found:
                return (_API_HEADERS[found[0]],)
    return ()


def _shaped_like_openai(path: str, wire_format: WireFormat | None) -> tuple[str, ...]:
    if wire_format is not None and wire_format.PROVIDER == OPENAI:
        return (OPENAI,)
    if _is_shaped_like_openai(path):
        return (OPENAI,)
    raise UnknownMaker("whose API it is cannot be told")
