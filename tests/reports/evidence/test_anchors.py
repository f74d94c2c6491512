"""Anchors that are files, repositories and authorities: they hold each checkpoint, and show a log
that was rewritten; one that is unavailable is told, delays nothing, and loses nothing."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from capture.evidence.checkpoint import Checkpoint
from capture.evidence.note import Note, Signer
from reports.evidence.anchors.held import split_notes
from tests.support.evidence import (
    TimestampAuthority,
    anchored,
    failing,
    listed,
    rewrite,
    sign,
    verifier_key,
)
from tests.support.ledger import Ledger, wait_until


def record(ledger: Ledger, session: str) -> Checkpoint:
    """One call, in a checkpoint of its own."""
    ledger.post(session)
    ledger.call(session)
    return sign(ledger)


def heads(notes: list[Note], ledger: Ledger) -> list[Checkpoint]:
    """The checkpoints of notes, each signed."""
    key = verifier_key(ledger)
    assert all(note.signers([key]) for note in notes)
    return [Checkpoint.parse(note.text) for note in notes]


def notes_of(path: Path) -> list[Note]:
    """What an anchor of this kind holds, read as its owner would."""
    if not path.is_dir():
        return list(split_notes(path.read_text().splitlines(keepends=True)))
    if (path / ".git").exists():
        [name] = git(path, "ls-files").split()
        return list(split_notes(git(path, "show", f"HEAD:{name}").splitlines(keepends=True)))
    return [Note.parse(file.read_bytes()) for file in sorted(path.iterdir())]


def git(path: Path, *arguments: str) -> str:
    command = ["git", "-C", str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("kind", ["file", "folder", "git"])
def test_it_holds_each_checkpoint_and_refuses_another_past(
    fresh: Ledger, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "anchor"
    spelling = {"file": f"{path}", "folder": f"{path}/", "git": f"git:{path}"}[kind]
    fresh.env["AGENTLEDGER_ANCHORS"] = spelling
    with fresh:
        record(fresh, "a")
        if kind != "file":
            assert "there is no folder" in failing(fresh)
            record(fresh, "b")
            path.mkdir()
            if kind == "git":
                git(path, "init", "--quiet")
        anchored(fresh, record(fresh, "c").size)
        held = heads(notes_of(path), fresh)
        assert [head.size for head in held] == sorted(
            one["size"] for one in listed(fresh)["checkpoints"]
        )
        wait_until(lambda: "the anchor" not in str(fresh.get("/readyz").json()["reasons"]))
    rewrite(fresh)
    with fresh:
        record(fresh, "d")
        assert "it holds another past of this log" in failing(fresh)
        assert heads(notes_of(path), fresh) == held


def test_a_file_with_half_a_checkpoint_goes_on_after_it(fresh: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "held.txt"
    path.write_bytes(b"\xff what somebody else wrote\n\nagentledger/x\n1\nAAAA\n\n\xe2\x80\x94 age")
    fresh.env["AGENTLEDGER_ANCHORS"] = str(path)
    with fresh:
        record(fresh, "a")
        second = record(fresh, "b")
        anchored(fresh, second.size)
        assert heads([notes_of_rest(path)[-1]], fresh) == [second]


def test_notes_are_found_after_any_part_of_one() -> None:
    signer = Signer("log.example.org/x", Ed25519PrivateKey.generate())
    text = Checkpoint(signer.name, 3, bytes(32)).text()
    note = Note(text, (signer.sign(text), signer.cosign(text, 5)))
    written = str(note).encode()
    for end in range(len(written) + 1):
        file = (written[:end] + f"\n\n{note}\n{note}".encode()).decode(errors="replace")
        found = list(split_notes(file.splitlines(keepends=True)))
        assert found[-2:] == [note, note], written[:end]


def notes_of_rest(path: Path) -> list[Note]:
    with path.open(errors="replace") as file:
        return list(split_notes(file))


@pytest.mark.parametrize("has_roots", [True, False], ids=["verified", "not verified"])
def test_an_authority_signs_when_a_checkpoint_existed(
    fresh: Ledger, tmp_path: Path, has_roots: bool
) -> None:
    with TimestampAuthority(tmp_path / "tsa") as authority:
        roots = f"#{authority.roots}" if has_roots else ""
        fresh.env["AGENTLEDGER_ANCHORS"] = f"tsa+{authority.url}/stamp{roots}"
        with fresh:
            size = record(fresh, "a").size
            anchored(fresh, size)
            [stamped] = [one for one in listed(fresh)["checkpoints"] if one["timestamps"]][:1]
            [reply] = [base64.b64decode(one) for one in stamped["timestamps"].values()]
        text = Note.parse(stamped["note"].encode()).text
        assert authority.verify(text.encode(), reply)
        assert not authority.verify(text.encode() + b"x", reply)


def test_a_time_stamp_by_another_authority_is_not_taken(fresh: Ledger, tmp_path: Path) -> None:
    with (
        TimestampAuthority(tmp_path / "tsa") as authority,
        TimestampAuthority(tmp_path / "other") as other,
    ):
        fresh.env["AGENTLEDGER_ANCHORS"] = f"tsa+{other.url}#{authority.roots}"
        with fresh:
            record(fresh, "a")
            assert "no valid time stamp" in failing(fresh)
            assert not any(one["timestamps"] for one in listed(fresh)["checkpoints"])


HOSTILE = {
    "too much": b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 200_000,
    "no HTTP": b"\x00\x01\x02",
    "an error": b"HTTP/1.1 500 no\r\ncontent-length: 5\r\n\r\n\x1b[31m",
    "no signature": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno\n",
    "a redirect": b"HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
}


@contextlib.contextmanager
def serving(reply: bytes) -> Iterator[str]:
    """The URL of a server that has one response to everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_whatever_an_anchor_responds_delays_no_other(fresh: Ledger, tmp_path: Path) -> None:
    witness = Signer("witness", Ed25519PrivateKey.generate()).cosigner.text()
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(serving(reply)) for reply in HOSTILE.values()]
        path = tmp_path / "held.txt"
        anchors = [*(f"{url}#{witness}" for url in urls), *(f"tsa+{url}" for url in urls)]
        fresh.env["AGENTLEDGER_ANCHORS"] = ",".join([*anchors, str(path)])
        with fresh:
            size = record(fresh, "a").size
            wait_until(lambda: path.exists() and heads(notes_of(path), fresh)[-1].size >= size)
            states = wait_until(
                lambda: (
                    (found := listed(fresh)["anchors"])
                    and sum(one["is_failing"] for one in found) == len(anchors)
                    and found
                )
            )
            assert all(one["failure"].isprintable() for one in states)
            assert fresh.get("/readyz").status_code == 200
