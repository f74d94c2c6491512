"""The wire formats, found by the path of a request or by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from capture.wire.formats import batch_creation, batch_results, ollama, raw
from capture.wire.formats.anthropic import count_tokens as anthropic_count_tokens
from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.bedrock import converse as bedrock_converse
from capture.wire.formats.bedrock import invoke as bedrock_invoke
from capture.wire.formats.cohere import chat as cohere_chat
from capture.wire.formats.cohere import embeddings as cohere_embeddings
from capture.wire.formats.gemini import caches as gemini_caches
from capture.wire.formats.gemini import count_tokens as gemini_count_tokens
from capture.wire.formats.gemini import embeddings as gemini_embeddings
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import interactions as gemini_interactions
from capture.wire.formats.gemini import live as gemini_live
from capture.wire.formats.gemini import long_running as gemini_long_running
from capture.wire.formats.gemini import predict as gemini_predict
from capture.wire.formats.openai import audio as openai_audio
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.formats.openai import completions as openai_completions
from capture.wire.formats.openai import decisions as openai_decisions
from capture.wire.formats.openai import embeddings as openai_embeddings
from capture.wire.formats.openai import images as openai_images
from capture.wire.formats.openai import input_tokens as openai_input_tokens
from capture.wire.formats.openai import moderations as openai_moderations
from capture.wire.formats.openai import realtime as openai_realtime
from capture.wire.formats.openai import responses as openai_responses
from capture.wire.paths import cached_by_path
from capture.wire.sockets.gemini_live import GeminiLiveTurnTracker
from capture.wire.sockets.openai_realtime import RealtimeTurnTracker
from capture.wire.sockets.openai_responses import ResponsesTurnTracker
from capture.wire.sockets.turns import TurnTracker
from capture.wire.types import WireFormat

# A gateway's name of a model may have slashes; Vertex calls tuned ones by their endpoints.
_GEMINI = r"(?<!/publishers/anthropic)/(?:models|tunedModels|endpoints)/[^/:]+(?:/[^/:]+){0,2}"

# By the end of the path of a POST: any prefix may stand before it, such as
# /openai/deployments/{name} or /api/v1. The first that matches counts.
_PATHS: tuple[tuple[str, WireFormat], ...] = (
    (r"/(?:chat|agents)/completions", openai_chat),  # Mistral has agents
    (r"/responses", openai_responses),
    (r"/responses/compact", openai_responses),
    (r"/responses/input_tokens", openai_input_tokens),
    (r"/v1/messages", anthropic_messages),
    (r"/v1/messages/count_tokens", anthropic_count_tokens),
    # Google's Vertex; its count-tokens stands in place of a model.
    (r"/publishers/anthropic/models/count-tokens:rawPredict", anthropic_count_tokens),
    (
        r"/publishers/anthropic/models/[^/:]+:(?:rawPredict|streamRawPredict)",
        anthropic_messages,
    ),
    (r"/v2/chat", cohere_chat),
    (r"/v2/embed", cohere_embeddings),
    # The model may be an ARN, with up to two slashes.
    (r"/model/[^/]+(?:/[^/]+){0,2}/(?:converse|converse-stream)", bedrock_converse),
    (r"/model/[^/]+(?:/[^/]+){0,2}/(?:invoke|invoke-with-response-stream)", bedrock_invoke),
    (rf"{_GEMINI}:(?:generateContent|streamGenerateContent)", gemini),
    (rf"{_GEMINI}:(?:embedContent|batchEmbedContents)", gemini_embeddings),
    (rf"{_GEMINI}:countTokens", gemini_count_tokens),
    (rf"{_GEMINI}:predict", gemini_predict),
    (rf"{_GEMINI}:predictLongRunning", gemini_long_running),
    (r"/cachedContents", gemini_caches),
    (rf"{_GEMINI}:(?:batchGenerateContent|asyncBatchEmbedContent)", batch_creation.GEMINI),
    (r"/batchPredictionJobs", batch_creation.GEMINI),  # Vertex
    (r"/v1/messages/batches", batch_creation.ANTHROPIC),
    (r"/(?:v1|openai)/batches", batch_creation.OPENAI),
    (r"/v1/batch/jobs", batch_creation.OPENAI),  # Mistral
    (
        r"/v1(?:beta1?|alpha)?(?:/projects/[^/]+/locations/[^/]+)?/interactions",
        gemini_interactions,
    ),
    (r"/api/(?:chat|generate|embed|embeddings)", ollama),
    (r"(?<!chat)/completions", openai_completions),
    (r"/embeddings", openai_embeddings),
    (r"/images/(?:generations|edits|variations)", openai_images),
    (r"/audio/(?:transcriptions|translations|speech)", openai_audio),
    (r"/moderations", openai_moderations),
    (r"/decisions", openai_decisions),
)
_INTERACTION = r"/v1(?:beta1?|alpha)?(?:/projects/[^/]+/locations/[^/]+)?/interactions/([^/]+)"
_FILE = r"/files/([^/]+)/content"
_GEMINI_FILE = r"/download/v1(?:beta1?|alpha)?/(?:files/)?([^/:]+):download"
# By method and path: answers that another call asked for, with the id by which they are fetched.
_FETCHES: dict[str, tuple[tuple[str, WireFormat], ...]] = {
    "GET": (
        (r"/responses/([^/]+)", openai_responses),
        (_INTERACTION, gemini_interactions),
        (r"/chat/deferred-completion/([^/]+)", openai_chat),  # xAI
        (r"/messages/batches/([^/]+)/results", batch_results.ANTHROPIC),
        (r"/v1(?:beta1?|alpha)?/batches/(?!batch_)([^/:]+)", batch_results.GEMINI),
        (_FILE, batch_results.OPENAI),
        (_GEMINI_FILE, batch_results.GEMINI),
    ),
    # What was used until then comes with the answer.
    "POST": (
        (r"/responses/([^/]+)/cancel", openai_responses),
        (rf"{_INTERACTION}/cancel", gemini_interactions),
    ),
}
STORED_RESPONSE_FORMATS = frozenset((openai_responses.NAME, gemini_interactions.NAME))
"""The formats whose responses the provider stores, to be fetched again by their id."""


class Fetch(NamedTuple):
    """The answer that a request fetches: its format, and the id that names it."""

    wire_format: WireFormat
    id: str


# By the path of a WebSocket.
Socket = tuple[WireFormat, Callable[[], TurnTracker]]
_SOCKETS: tuple[tuple[str, Socket], ...] = (
    (r"/realtime", (openai_realtime, RealtimeTurnTracker)),
    (r"/responses", (openai_responses, ResponsesTurnTracker)),
    # google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent, and Vertex's.
    (r"[./]BidiGenerateContent(?:Constrained)?", (gemini_live, GeminiLiveTurnTracker)),
)
_FORMATS: dict[str, WireFormat] = {found.NAME: found for _, found in (*_PATHS, ("", raw))}
_FORMATS |= {found.NAME: found for _, (found, _) in _SOCKETS}
_FORMATS |= {found.NAME: found for fetches in _FETCHES.values() for _, found in fetches}
NAMES = frozenset(_FORMATS)

_T = TypeVar("_T")


def _by_path(paths: tuple[tuple[str, _T], ...]) -> Callable[[str], _T | None]:
    """Returns a function that finds the entry of a path: decoded, without its query, with or
    without its first slash. Some servers ignore case."""
    rule = re.DOTALL | re.IGNORECASE
    patterns = [(re.compile(f".*{pattern}", rule), found) for pattern, found in paths]

    @cached_by_path
    def find(path: str) -> _T | None:
        rooted = f"/{path}"
        return next((found for pattern, found in patterns if pattern.fullmatch(rooted)), None)

    return find


def _fetches_by_path(paths: tuple[tuple[str, WireFormat], ...]) -> Callable[[str], Fetch | None]:
    rule = re.DOTALL | re.IGNORECASE
    patterns = [(re.compile(f".*{pattern}", rule), found) for pattern, found in paths]

    @cached_by_path
    def find(path: str) -> Fetch | None:
        for pattern, wire_format in patterns:
            if found := pattern.fullmatch(f"/{path}"):
                return Fetch(wire_format, found[1])
        return None

    return find


_fetches = {method: _fetches_by_path(paths) for method, paths in _FETCHES.items()}


_is_file = re.compile(rf".*(?:{_FILE}|{_GEMINI_FILE})", re.DOTALL | re.IGNORECASE).fullmatch


def may_be_any_file(fetch: Fetch, path: str) -> bool:
    """Returns whether what is fetched may as well be a file that is no answer: a picture, a list of
    examples. Only its beginning tells."""
    return fetch.wire_format.NAME in batch_results.NAMES and _is_file(f"/{path}") is not None


def find_fetch(method: str, path: str) -> Fetch | None:
    """Returns what a request fetches that another one asked for; None where it fetches nothing."""
    if method == "POST" and path[-7:].lower() != "/cancel":
        return None
    find = _fetches.get(method)
    return find(path) if find else None


FREE_FORMATS = frozenset(
    found.NAME
    for found in (
        openai_moderations,
        openai_input_tokens,
        anthropic_count_tokens,
        gemini_count_tokens,
        batch_creation.OPENAI,
        batch_creation.ANTHROPIC,
        batch_creation.GEMINI,
    )
)
"""The formats whose calls cost nothing, whatever tokens they count."""


for_path = _by_path(_PATHS)
"""The format that a POST to a path speaks; None for a path that is not known."""

for_socket = _by_path(_SOCKETS)
"""The format that a WebSocket at a path speaks, and its TurnTracker; None for other paths."""


def by_name(name: str) -> WireFormat:
    """Raises KeyError for an unknown name. `raw` is the format of paths that are not known."""
    return _FORMATS[name]
