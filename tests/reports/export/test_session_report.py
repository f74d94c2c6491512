"""GET /export/{session}/report and …/report.pdf: what they say, of whom, and to whom."""

from __future__ import annotations

import html
import io
import json
import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pypdf import PdfReader

from reports.session_addresses import session_segment
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HASH = re.compile(r"[0-9a-f]{64}")


def call(ledger: Ledger, session: str, body: Any, **headers: str) -> httpx.Response:
    named = {f"x-agentledger-{name.replace('_', '-')}": value for name, value in headers.items()}
    named |= {"x-agentledger-session-id": session, "content-type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{ledger.url}/v1/chat/completions"
    return httpx.post(url, content=content, headers=named, timeout=60)


def chat(*messages: Any, **fields: Any) -> dict[str, Any]:
    listed = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
    return {"model": "gpt-4o", "messages": listed, **fields}


def address(session: str, what: str) -> str:
    return f"/export/{session_segment(session)}/{what}"


def page_text(ledger: Ledger, session: str, **parameters: Any) -> str:
    response = ledger.get(address(session, "report"), params=parameters).raise_for_status()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return html.unescape(re.sub(r"<[^>]+>", " ", response.text))


def pdf_of(ledger: Ledger, session: str, **parameters: Any) -> bytes:
    response = ledger.get(address(session, "report.pdf"), params=parameters).raise_for_status()
    assert response.headers["content-type"] == "application/pdf"
    return response.content


def pdf_text(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def one_line(text: str) -> str:
    return " ".join(text.replace("\u200b", "").split())


def worked(ledger: Ledger, provider: Provider) -> str:
    """A session with a tool call, its result, a failure, two agents; its id."""
    session = f"report-{uuid4()}"
    asked = {
        "id": "call_7",
        "type": "function",
        "function": {"name": "forecast", "arguments": '{"place": "Lisbon"}'},
    }
    tools = [{"type": "function", "function": {"name": "forecast", "parameters": {}}}]
    system = {"role": "system", "content": "You find facts."}
    question = {"role": "user", "content": "Will it rain?"}
    provider.response(*canned.as_json(canned.chat("", tool_calls=[asked])), times=1)
    call(
        ledger, session, chat(system, question, tools=tools), agent_name="researcher", user_id="u-1"
    )
    brought = {"role": "tool", "tool_call_id": "call_7", "content": "rain until 15:00"}
    history = [system, question, {"role": "assistant", "content": None, "tool_calls": [asked]}]
    provider.response(*canned.as_json(canned.chat("Until three.")), times=1)
    call(ledger, session, chat(*history, brought, tools=tools), agent_name="researcher")
    provider.response(*canned.as_json({"error": {"message": "no such model"}}, status=404), times=1)
    call(
        ledger, session, chat("Write."), agent_name="writer", handoff_from="researcher"
    )  # fmt: skip
    ledger.calls(session, count=3)
    return session


def test_the_page_tells_what_each_call_brought(stack: Ledger, provider: Provider) -> None:
    session = worked(stack, provider)
    text = one_line(page_text(stack, session))
    calls = stack.calls(session, count=3)
    assert f"Session {session}" in text
    assert text.count("You find facts.") == 1  # the prompt, once
    assert text.count("Will it rain?") == 1
    assert "tools offered forecast" in text
    assert "calls forecast · call_7" in text
    assert "result of forecast, brought by call 2" in text
    assert text.count("rain until 15:00") == 2  # where it was sent, and with what asked for it
    assert "Its system prompt is that of call 1." in text
    assert "no such model" in text
    assert "asked for gpt-4o, served by gpt-4o-2024-08-06" in text
    assert "researcher claimed: the caller sent it in a header" in text
    assert "none, 3 calls nothing proves who called" in text
    assert "3 of 3 calls are verified: they are in the log as they were recorded." in text
    assert "Nothing is missing: the log counts 3 calls" in text
    assert "What this does not prove" in text
    for command in ("verify.py", "manage.py verify_export", "manage.py verify_ledger"):
        assert command in text
    for one in calls:
        assert one["action_id"] in text
        assert one["request_sha256"] in text
        assert one["response_sha256"] in text


def test_page_and_pdf_say_the_same(stack: Ledger, provider: Provider) -> None:
    session = worked(stack, provider)
    [page, pdf] = [
        one_line(text) for text in (page_text(stack, session), pdf_text(pdf_of(stack, session)))
    ]
    calls = stack.calls(session, count=3)
    total = sum((Decimal(str(c["cost_usd"])) for c in calls if c["cost_usd"]), Decimal(0))
    assert total > 0
    for text in (page, pdf):
        assert f"{format(total.normalize(), 'f')} USD" in text
        assert "Calls 3" in text
        assert "Errors 1" in text
        found = re.findall(r"Call (\d+): (\w+), gpt-4o", text)
        assert list(dict.fromkeys(found)) == [
            ("1", "researcher"),
            ("2", "researcher"),
            ("3", "writer"),
        ]
    hashes = HASH.findall(page)
    assert len(hashes) == 9  # request, response and leaf of each
    assert HASH.findall(pdf) == hashes


def test_a_pdf_is_archived_with_its_export(stack: Ledger, provider: Provider) -> None:
    session = worked(stack, provider)
    data = pdf_of(stack, session)
    assert data == pdf_of(stack, session)  # the same calls, the same bytes
    reader = PdfReader(io.BytesIO(data))
    catalog: Any = reader.trailer["/Root"]
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in catalog
    metadata = catalog["/Metadata"].get_object().get_data().decode()
    assert re.search(r"<pdfaid:part>3<.*<pdfaid:conformance>A<", metadata, re.DOTALL)
    titles = [str(entry["/Title"]) for entry in reader.outline if not isinstance(entry, list)]
    assert titles[0] == "Summary"
    assert {"Flow", "Timeline", "Calls", "Verification"} <= set(titles)
    [attached] = catalog["/AF"]
    assert attached.get_object()["/AFRelationship"] == "/Data"
    [export] = reader.attachments["export.json"]
    document = json.loads(export)
    given = stack.get(f"/export/{session}", params={"format": "json"}).json()
    assert document["sha256"] == given["sha256"]
    assert document["calls"] == given["calls"]
    fonts = [font for page in reader.pages for font in page_fonts(page)]
    assert {font["/BaseFont"].partition("+")[2] for font in fonts} >= {
        "NotoSans-Regular",
        "NotoSansMono-Regular",
    }
    for font in fonts:
        [descendant] = font["/DescendantFonts"]
        descriptor = descendant.get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & descriptor.keys()


def page_fonts(page: Any) -> list[Any]:
    return [font.get_object() for font in page["/Resources"]["/Font"].values()]


def test_a_pdf_has_a4_pages_or_letter(stack: Ledger, provider: Provider) -> None:
    session = worked(stack, provider)
    sizes = {
        paper: PdfReader(io.BytesIO(pdf_of(stack, session, paper=paper))).pages[0].mediabox[2:]
        for paper in ("a4", "letter")
    }
    assert {paper: [round(float(n)) for n in size] for paper, size in sizes.items()} == {
        "a4": [595, 842],
        "letter": [612, 792],
    }
    assert stack.get(address(session, "report.pdf"), params={"paper": "a5"}).status_code == 400
    assert stack.get(address(session, "report"), params={"part": "2"}).status_code == 400
    for what in ("report", "report.pdf"):
        assert stack.get(address(f"no-{uuid4()}", what)).status_code == 404


def test_a_deleted_call_shows_as_a_gap(stack: Ledger, provider: Provider) -> None:
    session = worked(stack, provider)
    calls = stack.calls(session, count=3)
    path = f"/api/calls/{calls[1]['action_id']}"
    assert httpx.delete(stack.url + path, timeout=60).status_code == 204
    text = one_line(page_text(stack, session))
    assert "The log counts 3 calls, of which 1 are not here, by number: 2." in text
    assert "2 of 2 calls are verified" in text

    def logged() -> str | None:
        found = one_line(page_text(stack, session))
        return found if "1 calls were deleted at" in found else None

    wait_until(logged)


def test_a_refusal_and_a_stop_are_events(stack: Ledger, provider: Provider) -> None:
    session = f"stopped-{uuid4()}"
    stack.post(session)
    stack.calls(session)
    stop = {"scope": "session", "value": session, "reason": "a <loop>"}
    httpx.post(f"{stack.url}/api/stops", json=stop, timeout=60).raise_for_status()

    wait_until(lambda: stack.post(session).status_code >= 400)
    wait_until(lambda: stack.get(f"/api/sessions/{session}").json()["refused_count"] > 0)
    text = one_line(page_text(stack, session))
    assert "refused: stopped" in text
    assert f"stop: session {session} a <loop>, in force" in text


@pytest.mark.parametrize(
    "session",
    [
        "a/report",
        "period",
        'quote"s & <b>',
        "../../etc/passwd",
        "лог — 記録 🚀",
        "x\u202efdp.exe",
        "x" * 500,
    ],
)
def test_any_session_has_a_report(stack: Ledger, provider: Provider, session: str) -> None:
    headers = httpx.Headers([(b"x-agentledger-session-id", session.encode())])
    httpx.post(f"{stack.url}/v1/chat/completions", json=chat("hello"), headers=headers, timeout=60)
    stack.calls(session)
    page = stack.get(address(session, "report")).raise_for_status()
    assert "<b>" not in page.text
    response = stack.get(address(session, "report.pdf")).raise_for_status()
    disposition = response.headers["content-disposition"]
    assert re.match(r'attachment; filename="[A-Za-z0-9._-]+\.pdf"', disposition)
    assert disposition.isascii()
    assert "/" not in disposition.replace("UTF-8''", "")


def test_the_command_makes_both(ledger: Ledger, provider: Provider) -> None:
    session = worked(ledger, provider)
    # The ledger's first checkpoint is not to come between the two.
    wait_until(lambda: ledger.get("/readyz").json()["checkpoints"].get("size"))
    for name in ("html", "pdf"):
        done = ledger.command("export_session", session, "--format", name, "-o", f"r.{name}")
        assert (done.returncode, done.stderr) == (0, "")
    assert (ledger.folder / "r.pdf").read_bytes() == pdf_of(ledger, session)
    page = (ledger.folder / "r.html").read_text()
    assert session in page
    assert "<style>" in page
    assert not re.search(r"<(script|link|img)\b", page)


def test_a_house_has_its_own_head(fresh: Ledger, provider: Provider) -> None:
    size = 'width="40" height="20"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#0a0"/></svg>'
    (fresh.folder / "logo.svg").write_text(svg)
    fresh.env["AGENTLEDGER_REPORT_TITLE"] = "Müller & Söhne"
    fresh.env["AGENTLEDGER_REPORT_LOGO"] = "logo.svg"
    with fresh:
        fresh.post("s")
        fresh.calls("s")
        page = fresh.get("/export/s/report").text
        assert "Müller &amp; Söhne" in page
        assert 'src="data:image/svg+xml;base64,' in page
        assert "Müller & Söhne" in pdf_text(pdf_of(fresh, "s"))
    fresh.env["AGENTLEDGER_REPORT_LOGO"] = "missing.png"
    refused = fresh.command("check")
    assert refused.returncode == 2
    assert "AGENTLEDGER_REPORT_LOGO" in refused.stderr
