"""No spelling of a path that a server may read as a call's is anything else to the proxy."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentledger_site.owned_paths import is_owned
from capture.views import read_path_of

VERTEX = "/v1/projects/p/locations/l/publishers"
CALLS = {
    "/v1/chat/completions": "openai.chat",
    "/openai/deployments/gpt-5.5/chat/completions": "openai.chat",
    "/v1/responses": "openai.responses",
    "/v1/embeddings": "openai.embeddings",
    "/v1/messages": "anthropic.messages",
    "/v1beta/models/gemini-3-pro:generateContent": "gemini",
    "/v1beta/models/gemini-3-pro:streamGenerateContent": "gemini",
    f"{VERTEX}/google/models/gemini-3-pro:generateContent": "gemini",
    f"{VERTEX}/anthropic/models/claude-opus-5-5:rawPredict": "anthropic.messages",
    f"{VERTEX}/anthropic/models/claude-opus-5-5@20260801:streamRawPredict": "anthropic.messages",
    "/model/anthropic.claude-opus-5-5-v1:0/converse": "bedrock.converse",
    "/model/us.amazon.nova-pro-v1:0/invoke-with-response-stream": "bedrock.invoke",
    "/v2/chat": "cohere.chat",
    "/api/chat": "ollama",
}
# What stands between two segments, before them, or at the end, and means nothing to some server.
EMPTY = st.sampled_from(["", "/", "//", "/.", "/./", "/x/..", "/%2e", "/%2E%2e/%2e", "/;a=b", "\\"])
PARAMETERS = st.sampled_from(["", ";", ";v=1", ";a=b;c", "%3Bv=1"])
WRITING = st.sampled_from("plain plain upper escape twice".split())


def written(character: str, how: str) -> str:
    escaped = f"%{ord(character):02X}"
    forms = {"upper": character.upper(), "escape": escaped, "twice": quote(escaped)}
    return forms.get(how, character)


@st.composite
def spelled(draw: st.DrawFn, path: str) -> str:
    found = ""
    for segment in path[1:].split("/"):
        empty = draw(EMPTY).replace("/%2E%2e/%2e", "/y/%2E%2e/%2e")
        letters = "".join(written(character, draw(WRITING)) for character in segment)
        found += f"{empty}/{letters}{draw(PARAMETERS)}"
    return found + draw(st.sampled_from(["", "/", "//", "/.", "/;x", "%2F", "%00", "%3Fx", "%23"]))


@pytest.mark.parametrize("path", CALLS)
def test_each_call_has_its_format(path: str) -> None:
    _, wire_format = read_path_of("POST", path, ())
    assert wire_format is not None
    assert CALLS[path].partition(".")[0] in wire_format.NAME.replace("-", ".")


@given(st.sampled_from(sorted(CALLS)).flatmap(lambda path: st.tuples(st.just(path), spelled(path))))
def test_no_spelling_of_a_path_gets_past_the_record(pair: tuple[str, str]) -> None:
    path, spelling = pair
    _, expected = read_path_of("POST", path, ())
    _, wire_format = read_path_of("POST", unquote(spelling), ())  # as a server hands it over
    assert wire_format is expected, spelling
    assert not is_owned(unquote(spelling))


@given(spelled("/v1/custom"))
def test_no_spelling_gets_past_a_path_that_is_configured(spelling: str) -> None:
    _, wire_format = read_path_of("POST", unquote(spelling), ("v1/custom",))
    assert wire_format is not None, spelling
