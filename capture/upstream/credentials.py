"""Whose credential a request carries, as far as its form or its place tells.

Many makers give out keys that look alike (`sk-…`, 32 hexadecimal digits, a JWT): of these nothing
is said. What is said must be certain, since a request goes where its credential belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from capture.upstream.headers import RawHeaders

# How values begin, after a scheme such as Bearer. Makers' names are those of `routing`.
_FORMS = {
    b"sk-ant-": "anthropic",
    b"sk-or-": "openrouter",
    b"sk-proj-": "openai",
    b"sk-svcacct-": "openai",
    b"sk-admin-": "openai",
    b"sess-": "openai",
    b"ek_": "openai",  # for one session of the Realtime API
    b"AIza": "google",
    b"AQ.": "google",  # of 2026: https://ai.google.dev/gemini-api/docs/api-key
    b"ya29.": "google",
    b"auth_tokens/": "google",  # for one session of the Live API
    b"gsk_": "groq",
    b"xai-": "x-ai",
    b"pplx-": "perplexity",
    b"csk-": "cerebras",
    b"hf_": "huggingface",
    b"fw_": "fireworks",
    b"tgp_": "together",
    b"nvapi-": "nvidia",
    b"r8_": "replicate",
    b"sk-kimi-": "moonshotai",
    b"vck_": "vercel",
    b"dapi": "databricks",
    b"pa-": "voyageai",
    b"ABSK": "aws",  # Bedrock's own keys, https://docs.aws.amazon.com/bedrock/
    b"bedrock-api-key-": "aws",
    b"AWS4-": "aws",
    b"AKIA": "aws",
    b"ASIA": "aws",
    b"gho_": "github",
    b"ghu_": "github",
    b"ghp_": "github",
    b"ghs_": "github",
    b"github_pat_": "github",
    b"tid=": "github",  # Copilot's, with fields after it
}
_one_form = b"|".join(map(re.escape, _FORMS))
_begins = re.compile(rb"""[\s"']*(?:[\w-]+\s+["']?)?(""" + _one_form + rb")").match

# Where a value stands that has no form of its own.
_HEADERS = {
    b"authorization": None,
    b"x-api-key": "anthropic",
    b"x-goog-api-key": "google",
    b"api-key": "azure",
    b"x-amz-security-token": "aws",
    b"x-amz-date": "aws",
    b"copilot-integration-id": "github",
}
_PARAMETERS = {b"key": "google", b"x-goog-api-key": "google", b"x-amz-credential": "aws"}
# A page can set no header of a WebSocket: OpenAI's take the key as one of its subprotocols.
_SUBPROTOCOLS = b"sec-websocket-protocol"
_KEY_SUBPROTOCOL = b"openai-insecure-api-key."


def find_makers(target: bytes, headers: RawHeaders) -> set[str]:
    """Returns the makers whose credentials a request carries: several, if it contradicts itself."""
    found = set(_makers_by_header(headers))
    query = target.partition(b"?")[2]
    if query:
        found.update(_makers_by_query(query))
    return found - {""}


def _makers_by_header(headers: RawHeaders) -> Iterable[str]:
    for name, value in headers:
        if name in _HEADERS:
            yield maker_of(value) or _HEADERS[name] or ""
        elif name == _SUBPROTOCOLS and _KEY_SUBPROTOCOL in value:
            key = value.partition(_KEY_SUBPROTOCOL)[2]
            yield maker_of(key) or "openai"


def _makers_by_query(query: bytes) -> Iterable[str]:
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if b"%" in pair:
            name, value = unquote_to_bytes(name), unquote_to_bytes(value)
        if value:
            yield maker_of(value) or _PARAMETERS.get(name.lower()) or ""


def maker_of(value: bytes) -> str | None:
    """Returns the maker of a credential, with or without a scheme before it, by its form."""
    found = _begins(value)
    return _FORMS[found[1]] if found else None
