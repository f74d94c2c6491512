"""Checkpoints: when they are made and by which key, and when none is made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from capture.evidence.checkpoint import Checkpoint
from capture.evidence.note import Note
from tests.conftest import create_database
from tests.support.evidence import (
    OTHER_FIRST_ENTRY,
    execute,
    follow_clock,
    latest,
    listed,
    rewrite,
    set_clock,
    sign,
    verifier_key,
)
from tests.support.ledger import Ledger, wait_until

KEY_FILE = "agentledger-signing-key"


def record(ledger: Ledger, session: str = "s") -> None:
    ledger.post(session)
    ledger.call(session)


def degraded(ledger: Ledger, said: str) -> bool:
    """Waits until /readyz says this, and that calls are not concerned."""
    response = wait_until(lambda: (r := ledger.get("/readyz")) and said in str(r.json()) and r)
    return (response.status_code, response.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_first_checkpoint_follows_the_first_call(
    fresh: Ledger, request: pytest.FixtureRequest, database: str
) -> None:
    if database == "postgresql":
        fresh.env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with fresh:
        assert verifier_key(fresh).name.startswith("agentledger/")
        record(fresh)
        found = sign(fresh)
        assert found.origin == verifier_key(fresh).name
        one = listed(fresh)["checkpoints"][0]
        assert one["size"] == found.size and one["root"] in one["note"]
        assert "checkpoint" not in str(fresh.get("/readyz").json()["reasons"])
    key = fresh.folder / KEY_FILE
    assert key.exists() == (database == "sqlite")
    if key.exists():
        assert key.stat().st_mode & 0o777 == 0o600


def test_a_checkpoint_is_made_each_hour_and_silence_is_an_entry(
    fresh: Ledger, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    follow_clock(fresh, clock)
    with fresh:
        record(fresh)
        first = latest(fresh)
        set_clock(clock, 3700)
        second = latest(fresh, after=first.size)
        assert second.size == first.size + 1
        kinds = fresh.command(
            "shell", "-v", "0", "-c",
            "from capture.models import LogEntry\nprint(LogEntry.objects.latest('index').record)",
        )  # fmt: skip
        assert '"kind":"heartbeat"' in kinds.stdout and '"n_calls":1' in kinds.stdout
        record(fresh, "t")
        set_clock(clock, 7400)
        assert latest(fresh, after=second.size).size == second.size + 1


def test_pages_of_checkpoints_follow_each_other(fresh: Ledger) -> None:
    with fresh:
        for session in "abc":
            record(fresh, session)
            sign(fresh)
        sizes = [one["size"] for one in listed(fresh)["checkpoints"]]
        found = []
        path = "/api/checkpoints?limit=2"
        while path:
            page = fresh.get(path).raise_for_status()
            found += [one["size"] for one in page.json()["checkpoints"]]
            path = page.links["next"]["url"].removeprefix(fresh.url) if page.links else ""
        assert found == sizes == sorted(sizes, reverse=True) and len(sizes) >= 3
        assert sign(fresh).size == sizes[0]  # one that covers the log is not made again


def test_the_old_and_the_new_key_sign_once_together(fresh: Ledger) -> None:
    with fresh:
        record(fresh)
        old = verifier_key(fresh)
        before = latest(fresh)
        done = fresh.command("signing_key", "--rotate")
        assert done.returncode == 0, done.stderr
        new = verifier_key(fresh)
        assert new.text() in done.stdout and new != old
        note = Note.parse(fresh.get("/api/checkpoints/latest").content)
        assert set(note.signers([old, new])) == {old, new}
        record(fresh, "t")
        assert sign(fresh).size > before.size + 1
        note = Note.parse(fresh.get("/api/checkpoints/latest").content)
        assert set(note.signers([old, new])) == {new}
        assert "rotate_signing_key" in fresh.get("/api/audit").text
        assert fresh.command("signing_key").stdout == done.stdout


def test_a_process_with_another_key_does_not_sign_and_says_so(fresh: Ledger) -> None:
    with fresh:
        record(fresh)
        latest(fresh)
    (fresh.folder / KEY_FILE).unlink()
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", KEY_FILE],
        cwd=fresh.folder, check=True,
    )  # fmt: skip
    with fresh:
        record(fresh, "t")
        assert degraded(fresh, "the key here is")
        n_before = len(listed(fresh)["checkpoints"])
        assert "the ledger's is" in fresh.command("signing_key").stderr
        assert len(listed(fresh)["checkpoints"]) == n_before
        # Nobody has the old one any more.
        assert fresh.command("signing_key", "--rotate").returncode == 1
        assert fresh.command("signing_key", "--rotate", "--lost").returncode == 0
        wait_until(lambda: fresh.get("/readyz").json()["status"] == "ready")
        latest(fresh)


def test_a_key_and_a_name_of_the_operators_own(fresh: Ledger, tmp_path: Path) -> None:
    keys = [tmp_path / name for name in ("one.pem", "two.pem")]
    for key in keys:
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True
        )
    fresh.env |= {
        "AGENTLEDGER_SIGNING_KEY_FILE": str(keys[0]),
        "AGENTLEDGER_LOG_ORIGIN": "ledger.example.org/agents",
    }
    with fresh:
        record(fresh)
        assert latest(fresh).origin == "ledger.example.org/agents"
        assert not (fresh.folder / KEY_FILE).exists()
        assert "name the new key's file" in fresh.command("signing_key", "--rotate").stderr
        rotated = fresh.command("signing_key", "--rotate", "--new", str(keys[1]))
        assert rotated.returncode == 0, rotated.stderr
        assert "the key here is" in fresh.command("signing_key").stderr
    fresh.env["AGENTLEDGER_SIGNING_KEY_FILE"] = str(keys[1])
    with fresh:
        record(fresh, "t")
        sign(fresh)
    fresh.env["AGENTLEDGER_SIGNING_KEY_FILE"] = str(tmp_path / "none.pem")
    with fresh:
        assert degraded(fresh, "none.pem cannot be read")


@pytest.mark.parametrize(
    "damage",
    [
        OTHER_FIRST_ENTRY,
        "DELETE FROM capture_logtile",
        "UPDATE capture_ledger SET log_size = log_size - 1",
    ],
)
def test_a_log_that_is_not_what_was_signed_is_not_signed_again(
    fresh: Ledger, tmp_path: Path, damage: str
) -> None:
    clock = tmp_path / "clock"
    follow_clock(fresh, clock)
    with fresh:
        record(fresh)
        size = latest(fresh).size
    execute(fresh, damage)
    set_clock(clock, 3700)
    with fresh:
        assert degraded(fresh, "no checkpoint is made: ")
        assert listed(fresh)["checkpoints"][0]["size"] == size


def test_a_log_that_is_rewritten_with_its_checkpoints_is_signed_again(fresh: Ledger) -> None:
    """The owner of key and database can do this: only an anchor shows it."""
    with fresh:
        record(fresh)
        before = sign(fresh)
    rewrite(fresh)
    with fresh:
        after = Checkpoint.parse(sign(fresh).text())
        assert after.size >= before.size and after.root != before.root
