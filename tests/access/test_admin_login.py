"""Browsers: signing in with the key or a token, the cookie, and the admin for each role."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from access.request_checks import KEY_HEADER
from tests.conftest import KEY
from tests.support.ledger import Ledger, wait_until

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SIGN_IN = "/dashboard/sign-in"


class Browser(httpx.Client):
    """Keeps cookies, says whose page sends what, and sends forms with what is hidden in them."""

    def __init__(self, ledger: Ledger, **headers: str) -> None:
        super().__init__(base_url=ledger.url, headers={**BROWSER, **headers}, timeout=30)

    def submit(self, path: str, to: str | None = None, **fields: str | list[str]) -> httpx.Response:
        page = self.get(path)
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)
        hidden = {name: html.unescape(value) for name, value in found}
        own = {"origin": str(self.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
        return self.post(to or path, data={**hidden, **fields}, headers=own)

    def sign_in(self, secret: str) -> httpx.Response:
        own = {"origin": str(self.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
        return self.post(SIGN_IN, data={"api_key": secret, "next": "/admin/"}, headers=own)


def ready(ledger: Ledger) -> None:
    wait_until(lambda: ledger.get("/api/stops", headers={KEY_HEADER: KEY}).status_code == 200)


def token(ledger: Ledger, role: str) -> str:
    ready(ledger)
    made = ledger.command("token", "create", f"{role} of the admin", "--role", role)
    if made.returncode:
        ledger.command("token", "revoke", f"{role} of the admin")
        return token(ledger, role)
    return made.stdout.strip()


def test_the_admin_takes_the_key(keyed: Ledger) -> None:
    ready(keyed)
    with Browser(keyed) as browser:
        page = browser.get("/admin/?a=1")
        assert page.status_code == 401
        assert "<script" not in page.text and "style=" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert 'name="next" value="/admin/?a=1"' in page.text
        [style] = re.findall(r"/static/[^\"]+/sign_in.css", page.text)
        assert browser.get(style).status_code == 200
        wrong = browser.sign_in("not the key")
        assert (wrong.status_code, wrong.cookies.get("agentledger")) == (401, None)
        right = browser.sign_in(KEY)
        assert (right.status_code, right.headers["location"]) == (303, "/admin/")
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie and "secure" not in cookie
        assert KEY not in cookie
        admin = browser.get("/admin/")
        assert admin.status_code == 200
        assert "Welcome" in admin.text and "Tokens" in admin.text
        assert "Change password" not in admin.text
        [style] = re.findall(r"/static/[^\"]+/css/base.css", admin.text)
        assert browser.get(style).status_code == 200
        assert browser.get("/admin/login/").headers["location"] == "/admin/"


def test_a_link_with_the_key_signs_in_and_leads_to_the_clean_address(keyed: Ledger) -> None:
    ready(keyed)
    with Browser(keyed) as browser:
        response = browser.get("/api/sessions", params={"limit": "5", "api_key": KEY})
        assert (response.status_code, response.headers["location"]) == (
            303,
            "/api/sessions?limit=5",
        )
        assert browser.get("/api/sessions").status_code == 200
        refused = browser.get("/api/sessions", params={"limit": "5", "api_key": "wrong"})
        assert refused.status_code == 401
        assert 'value="/api/sessions?limit=5"' in refused.text
    program = keyed.get(f"/api/sessions?api_key={KEY}", headers={"accept": "application/json"})
    assert (program.status_code, program.cookies.get("agentledger")) == (200, None)


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x", ""]
)
def test_signing_in_leads_nowhere_else(keyed: Ledger, target: str) -> None:
    data = {"api_key": KEY, "next": target}
    assert httpx.post(keyed.url + SIGN_IN, data=data).headers["location"] == "/"


def test_a_page_of_another_site_signs_nobody_in(keyed: Ledger) -> None:
    response = httpx.post(
        keyed.url + SIGN_IN, data={"api_key": KEY}, headers={"origin": "http://evil.example"}
    )
    assert (response.status_code, response.cookies.get("agentledger")) == (403, None)


def test_a_cookie_ends_with_signing_out_and_with_its_token(keyed: Ledger) -> None:
    secret = token(keyed, "viewer")
    with Browser(keyed) as browser:
        assert browser.sign_in(secret).status_code == 303
        assert browser.get("/api/sessions").status_code == 200
        assert browser.submit("/admin/", to="/admin/logout/").status_code == 303
        assert browser.get("/api/sessions").status_code == 401
        browser.sign_in(secret)
        assert browser.get("/api/sessions").status_code == 200
        keyed.command("token", "revoke", "viewer of the admin")
        assert browser.get("/api/sessions").status_code == 401


def test_a_cookie_outlives_a_start_and_ends_with_its_key(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_API_KEY"] = KEY
    with fresh:
        ready(fresh)
        cookie = httpx.post(fresh.url + SIGN_IN, data={"api_key": KEY}).cookies["agentledger"]
    headers = {"cookie": f"agentledger={cookie}"}
    file = fresh.folder / "agentledger-secret-key"
    assert file.stat().st_mode & 0o777 == 0o600
    with fresh:
        assert fresh.get("/api/sessions", headers=headers).status_code == 200
        forged = {"cookie": f"agentledger={cookie[:-1]}x"}
        assert fresh.get("/api/sessions", headers=forged).status_code == 401
    fresh.env["AGENTLEDGER_API_KEY"] = "another"
    with fresh:
        assert fresh.get("/api/sessions", headers=headers).status_code == 401
    fresh.env["AGENTLEDGER_API_KEY"] = KEY
    fresh.env["AGENTLEDGER_SECRET_KEY"] = "the operator's own"
    with fresh:
        assert fresh.get("/api/sessions", headers=headers).status_code == 401


def test_behind_tls_cookies_are_secure(fresh: Ledger) -> None:
    fresh.env |= {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_TRUSTED_PROXIES": "127.0.0.1"}
    with fresh:
        ready(fresh)
        tls = {"x-forwarded-for": "8.8.8.8", "x-forwarded-proto": "https"}
        with Browser(fresh, **tls, host="ledger.example") as browser:
            own = {"origin": "https://ledger.example"}
            response = browser.post(SIGN_IN, data={"api_key": KEY}, headers=own)
            assert "secure" in response.headers["set-cookie"].lower()
            cookie = {"cookie": response.headers["set-cookie"].partition(";")[0]}
            admin = browser.get("/admin/", headers=cookie)
            assert admin.status_code == 200
            assert "secure" in admin.headers["set-cookie"].lower()  # csrftoken


def test_without_a_key_the_local_operator_is_in(ledger: Ledger) -> None:
    with Browser(ledger) as browser:
        assert "local operator" in browser.get("/admin/").text
        assert browser.get("/admin").headers["location"] == "/admin/"
        assert browser.get("/admin/", headers={"x-forwarded-for": "1.1.1.1"}).status_code == 403
        add = "/admin/capture/stop/add/"
        made = browser.submit(add, scope="user", value="u", reason="x")
        assert made.status_code == 302
        own = {"origin": ledger.url, "sec-fetch-site": "same-origin"}
        fields = {"scope": "user", "value": "v", "reason": "x"}
        assert browser.post(add, data=fields, headers=own).status_code == 403  # no page's token


def test_a_token_is_made_in_the_admin_and_shown_once(keyed: Ledger) -> None:
    ready(keyed)
    with Browser(keyed) as browser:
        browser.sign_in(KEY)
        made = browser.submit("/admin/access/token/add/", name="from the admin", role="viewer")
        assert "no-store" in made.headers["cache-control"]
        [secret] = re.findall(r"al_[A-Za-z0-9_-]{43}", made.text)
        assert keyed.get("/api/sessions", headers={KEY_HEADER: secret}).status_code == 200
        for page in ("/admin/access/token/", "/admin/access/auditentry/", "/admin/"):
            assert secret not in browser.get(page).text
        taken = browser.submit("/admin/access/token/add/", name="from the admin", role="admin")
        assert "a token with this name exists" in html.unescape(taken.text)
        budget = browser.submit(
            "/admin/access/token/add/", name="b", role="viewer", daily_budget_usd="5"
        )
        assert "only an ingest token has a daily budget" in budget.text
        [number] = re.findall(
            r'value="(\d+)"[^>]*aria-label="[^"]*from the admin',
            browser.get("/admin/access/token/").text,
        )
        listed = "/admin/access/token/"
        browser.submit(listed, action="revoke", _selected_action=[number])
        assert keyed.get("/api/sessions", headers={KEY_HEADER: secret}).status_code == 401
        audit = browser.get("/admin/access/auditentry/?q=from+the+admin").text
        assert "token.create" in audit and "token.revoke" in audit
        assert browser.get(f"{listed}{number}/change/").status_code == 200
        assert browser.get(f"{listed}{number}/delete/").status_code == 403


def test_stops_in_the_admin(keyed: Ledger) -> None:
    secret = token(keyed, "editor")
    with Browser(keyed) as browser:
        browser.sign_in(secret)
        add = "/admin/capture/stop/add/"
        made = browser.submit(add, scope="agent", value="wild", reason="it loops")
        assert made.status_code == 302, made.text
        [stop] = keyed.get("/api/stops", headers={KEY_HEADER: KEY}).json()
        assert (stop["value"], stop["who"]) == ("wild", "token editor of the admin")
        again = browser.submit(add, scope="agent", value="wild", reason="it loops")
        assert "these calls are already stopped" in again.text
        bad = browser.submit(add, scope="agent", value="", reason="it loops")
        assert "else the session, agent or user to stop" in bad.text
        browser.submit("/admin/capture/stop/", action="lift", _selected_action=[str(stop["id"])])
        assert keyed.get("/api/stops", headers={KEY_HEADER: KEY}).json() == []
        for path in ("/admin/access/token/", "/admin/access/auditentry/"):
            assert browser.get(path).status_code == 403


def test_a_viewer_reads_the_admin_and_changes_nothing(keyed: Ledger) -> None:
    secret = token(keyed, "viewer")
    with Browser(keyed) as browser:
        browser.sign_in(secret)
        index = browser.get("/admin/").text
        assert "Stops" in index and "Tokens" not in index
        stops = browser.get("/admin/capture/stop/")
        assert stops.status_code == 200
        assert "Lift the selected" not in stops.text
        assert browser.get("/admin/capture/stop/add/").status_code == 403
        assert browser.submit("/admin/", to="/admin/capture/stop/add/").status_code == 403


def test_the_audit_log_is_only_read_in_the_admin(keyed: Ledger) -> None:
    ready(keyed)
    with Browser(keyed) as browser:
        browser.sign_in(KEY)
        listed = "/admin/access/auditentry/"
        assert "settings" in browser.get(listed).text
        assert browser.get(f"{listed}1/change/").status_code == 200
        for path in (f"{listed}add/", f"{listed}1/delete/"):
            assert browser.get(path).status_code == 403
        assert browser.submit("/admin/", to=f"{listed}1/change/").status_code == 403
        assert "delete_selected" not in browser.get(listed).text
