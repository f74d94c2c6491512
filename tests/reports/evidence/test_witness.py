"""One AgentLedger is the witness of another: it cosigns what only grew, refuses what was rewritten
or cut, and remembers what it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from capture.evidence.checkpoint import Checkpoint
from capture.evidence.note import Note, Signer, VerifierKey
from capture.evidence.tree import leaf_hash, node_hash
from capture.evidence.witness import MAX_BODY, SIZE_TYPE, Submission
from tests.reports.evidence.test_anchors import record
from tests.support.evidence import anchored, execute, failing, proof, rewrite, verifier_key
from tests.support.ledger import Ledger
from tests.support.provider import Provider

LOG = Signer("log.example.org/x", Ed25519PrivateKey.generate())
A, B = leaf_hash(b"a"), leaf_hash(b"b")


@pytest.fixture
def witness(_provider: Provider, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in a folder of its own that is a witness of LOG."""
    folder = tmp_path / "witness"
    folder.mkdir()
    env = {"AGENTLEDGER_WITNESS_FOR": LOG.key.text()}
    with Ledger(folder, _provider.url, env=env) as ledger:
        yield ledger


def submit(witness: Ledger, body: bytes) -> httpx.Response:
    return httpx.post(f"{witness.url}/witness/add-checkpoint", content=body, timeout=30)


def show(
    witness: Ledger, old: int, size: int, root: bytes, hashes: list[bytes], log: Signer = LOG
) -> httpx.Response:
    text = Checkpoint(log.name, size, root).text()
    note = str(Note(text, (log.sign(text),)))
    return submit(witness, Submission(old, hashes, note.encode()).body())


def seen(witness: Ledger, origin: str) -> httpx.Response:
    return witness.get(f"/witness/{sha256(origin.encode()).hexdigest()}/checkpoint")


def test_what_a_witness_says(witness: Ledger) -> None:
    key = verifier_key(witness, "cosigner")
    assert seen(witness, LOG.name).status_code == 404
    assert show(witness, 1, 1, A, []).status_code == 409  # it has seen nothing
    for _ in range(2):
        response = show(witness, 0 if _ == 0 else 1, 1, A, [])
        assert response.status_code == 200
        text = Checkpoint(LOG.name, 1, A).text()
        assert Note.parse(f"{text}\n{response.text}".encode()).signers([key])
    late = show(witness, 0, 2, node_hash(A, B), [])
    assert (late.status_code, late.text, late.headers["content-type"]) == (409, "1\n", SIZE_TYPE)
    other = show(witness, 1, 1, B, [])
    assert (other.status_code, other.text) == (409, "1\n")
    assert show(witness, 1, 2, node_hash(B, B), [B]).status_code == 422
    assert show(witness, 1, 2, node_hash(A, B), []).status_code == 422
    assert show(witness, 1, 2, node_hash(A, B), [B]).status_code == 200
    assert show(witness, 2, 1, A, []).status_code == 400
    note = Note.parse(seen(witness, LOG.name).content)
    assert set(note.signers([LOG.key, key])) == {LOG.key, key}
    assert Checkpoint.parse(note.text).size == 2
    kept = witness.command(
        "shell", "-v", "0", "-c",
        "from reports.models import WitnessRefusal\n"
        "print(*WitnessRefusal.objects.order_by('id').values_list('size', 'seen_size'))",
    )  # fmt: skip
    assert kept.stdout.split("\n")[0] == "(1, 1) (2, 1) (2, 1)"


def test_who_is_not_watched_gets_no_cosignature(witness: Ledger) -> None:
    nobody = Signer("log.example.org/y", Ed25519PrivateKey.generate())
    forger = Signer(LOG.name, Ed25519PrivateKey.generate())
    assert show(witness, 0, 1, A, [], nobody).status_code == 404
    assert show(witness, 0, 1, A, [], forger).status_code == 403
    assert seen(witness, LOG.name).status_code == 404
    assert seen(witness, nobody.name).status_code == 404


def test_whatever_strangers_send_is_refused(witness: Ledger) -> None:
    for body in (b"", b"old 0\n", b"old 0\n\n", b"old -1\n\nx", b"\xff" * 1000, b"\n" * MAX_BODY):
        assert submit(witness, body).status_code == 400
    assert submit(witness, b"x" * (MAX_BODY + 1)).status_code == 413
    assert httpx.get(f"{witness.url}/witness/add-checkpoint").status_code == 405
    assert witness.get("/witness/x/checkpoint").status_code == 404
    assert witness.get("/health").status_code == 200


def test_a_ledger_that_is_no_witness_says_so(fresh: Ledger) -> None:
    with fresh:
        assert show(fresh, 0, 1, A, []).status_code == 404


@pytest.fixture
def pair(fresh: Ledger, _provider: Provider, tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """Two running ledgers, of which the second is the witness of the first."""
    folder = tmp_path / "witness"
    folder.mkdir()
    with fresh:
        log = verifier_key(fresh)
    env = {"AGENTLEDGER_WITNESS_FOR": log.text()}
    with Ledger(folder, _provider.url, env=env) as witness:
        witness.env["AGENTLEDGER_PORT"] = witness.url.rpartition(":")[2]
        key = verifier_key(witness, "cosigner").text()
        fresh.env["AGENTLEDGER_ANCHORS"] = f"{witness.url}/witness#{key}"
        with fresh:
            yield fresh, witness


def cosigner_of_latest(ledger: Ledger, key: VerifierKey) -> int:
    """When the witness says that it saw the latest checkpoint."""
    note = Note.parse(ledger.get("/api/checkpoints/latest").content)
    return note.signers([key])[key].time_s


def test_a_witness_cosigns_growth_and_refuses_a_rewritten_log(
    pair: tuple[Ledger, Ledger],
) -> None:
    ledger, witness = pair
    key = verifier_key(witness, "cosigner")
    first = record(ledger, "a")
    anchored(ledger, first.size)
    second = record(ledger, "b")
    anchored(ledger, second.size)
    assert cosigner_of_latest(ledger, key) > 0
    assert Note.parse(seen(witness, first.origin).content).text == second.text()
    assert proof(ledger, first.size, second.size)
    ledger.stop()
    rewrite(ledger)
    ledger.start()
    record(ledger, "c")
    assert "which was rewritten" in failing(ledger)
    assert Note.parse(seen(witness, first.origin).content).text == second.text()


def test_a_witness_refuses_a_log_that_was_cut(pair: tuple[Ledger, Ledger]) -> None:
    ledger, _ = pair
    for session in ("a", "b"):
        anchored(ledger, record(ledger, session).size)
    ledger.stop()
    execute(
        ledger,
        "DELETE FROM reports_checkpoint",
        "DELETE FROM reports_anchor",
        "UPDATE capture_ledger SET log_size = 1",
        "UPDATE capture_logtile SET hashes = CAST(substr(hashes, 1, 32) AS BLOB)",
    )
    ledger.start()
    assert "the log was cut, or put back to an older state" in failing(ledger)


def test_a_witness_that_was_away_gets_the_latest(pair: tuple[Ledger, Ledger]) -> None:
    ledger, witness = pair
    anchored(ledger, record(ledger, "a").size)
    witness.stop()
    record(ledger, "b")
    assert failing(ledger)
    last = record(ledger, "c")
    witness.start()
    anchored(ledger, last.size)
    assert cosigner_of_latest(ledger, verifier_key(witness, "cosigner")) > 0
