"""Each session has an address, whatever its id: no browser and no proxy takes it for another's."""

from __future__ import annotations

from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.session_addresses import SessionIdConverter, session_segment

CONVERTER = SessionIdConverter()
ids = st.text(st.sampled_from("./~%a\\; ")) | st.text()


@given(ids.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_an_address_leads_back_to_its_id(session_id: str) -> None:
    segment = session_segment(session_id)
    decoded = unquote(segment)
    assert CONVERTER.to_python(decoded) == session_id
    assert decoded == CONVERTER.to_url(session_id)
    if "/" in session_id:
        assert not {"", ".", ".."} & set(decoded.split("/"))
    assert decoded not in (".", "..")


@pytest.mark.parametrize(
    ("session_id", "segment"),
    [
        ("run-1", "run-1"),
        (".", "~."),
        ("..", "~.."),
        ("~..", "~~.."),
        ("...", "..."),
        ("run..", "run.."),
        (".run", ".run"),
        ("a/../b", "a%2F~..%2Fb"),
        ("a//b/", "a%2F~%2Fb%2F~"),
        ("~", "~"),
        ("~a/b", "~a%2Fb"),
        ("%2E", "%252E"),
        ("period", "~period"),
        ("report", "report"),
        ("a/report", "a%2F~report"),
        ("a/report.pdf", "a%2F~report.pdf"),
        ("a/~report", "a%2F~~report"),
        ("a/reports", "a%2Freports"),
    ],
)
def test_what_is_marked(session_id: str, segment: str) -> None:
    assert session_segment(session_id) == segment
    address = urljoin("http://h/session/x", f"/session/{segment}")
    assert CONVERTER.to_python(unquote(address.removeprefix("http://h/session/"))) == session_id
