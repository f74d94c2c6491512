"""Programs of others accept our checkpoints and proofs, and refuse changed ones: `aics-tlog` and
`aics-witness`, in an environment of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.evidence.checkpoint import Checkpoint
from capture.evidence.note import Note, VerifierKey, encode
from tests.reports.evidence.test_anchors import record
from tests.support.evidence import anchored, failing, proof, rewrite, sign, verifier_key
from tests.support.ledger import Ledger, wait_until
from tests.support.reverse_proxy import free_port

PACKAGES = ("aics-tlog==0.2.1", "aics-witness==0.1.0")
# They say that they need 3.12. What they do here they do on 3.11 too.
PYTHONS = ("python3.12", "python3.13", sys.executable)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs, in an environment of their own."""
    reason = "there is no Python for them"
    for python in filter(None, map(shutil.which, PYTHONS)):
        folder = tmp_path_factory.mktemp("aics")
        for command in (
            [python, "-m", "venv", f"{folder}"],
            [f"{folder}/bin/pip", "install", "--quiet", "--ignore-requires-python", *PACKAGES],
            [f"{folder}/bin/aics-tlog", "--version"],
            [f"{folder}/bin/aics-witness", "--version"],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["?"])[-1]
                break
        else:
            return folder / "bin"
    pytest.skip(f"aics-tlog and aics-witness cannot be installed: {reason}")


def verifies(programs: Path, command: str, *arguments: str | Path) -> bool:
    done = subprocess.run(
        [programs / "aics-tlog", command, *map(str, arguments)], capture_output=True, text=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0), report
    return bool(report["ok"])


def test_a_verifier_accepts_checkpoints_and_refuses_changed_ones(
    fresh: Ledger, tmp_path: Path, programs: Path
) -> None:
    with fresh:
        record(fresh, "a")
        key, cosigner = verifier_key(fresh), verifier_key(fresh, "cosigner")
        note = fresh.get("/api/checkpoints/latest").text
    path = tmp_path / "checkpoint"
    keys = ("--log-key", key.text(), "--origin", key.name)
    cosigned = ("--witness-key", cosigner.text(), "--quorum", "1", "--max-age", "3600")
    path.write_text(note)
    assert verifies(programs, "verify-checkpoint", "--note", path, *keys, *cosigned)
    lines = note.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line == "\n":
            continue
        place = len(line) // 2
        other = "A" if line[place] != "A" else "B"
        changed = line[:place] + other + line[place + 1 :]
        path.write_text("".join([*lines[:number], changed, *lines[number + 1 :]]))
        assert not verifies(programs, "verify-checkpoint", "--note", path, *keys, *cosigned)


def test_a_verifier_accepts_proofs_and_refuses_changed_ones(
    fresh: Ledger, tmp_path: Path, programs: Path
) -> None:
    with fresh:
        old = record(fresh, "a")
        for session in "bcd":
            fresh.post(session)
            fresh.call(session)
        new = sign(fresh)
        between = proof(fresh, old.size, new.size)
        leaves = fresh.command(
            "shell", "-v", "0", "-c",
            "import json\nfrom capture.ledger.log.read import tree_at\n"
            f"tree = tree_at({new.size})\n"
            "print(json.dumps([[tree.leaf(i).hex(), *(h.hex() for h in tree.inclusion_proof(i))]"
            " for i in range(tree.size)]))",
        )  # fmt: skip
    path = tmp_path / "proof"
    roots = ("--old-root", encode(old.root), "--new-root", encode(new.root), "--proof", path)
    sizes = ("--old-size", str(old.size), "--new-size", str(new.size))
    write(path, between)
    assert verifies(programs, "verify-consistency", *sizes, *roots)
    write(path, [bytes([between[0][0] ^ 1]) + between[0][1:], *between[1:]])
    assert not verifies(programs, "verify-consistency", *sizes, *roots)
    tree = ("--size", str(new.size), "--root", encode(new.root), "--proof", path)
    for index, (leaf, *hashes) in enumerate(json.loads(leaves.stdout)):
        write(path, [bytes.fromhex(one) for one in hashes])
        entry = ("--leaf-hash", leaf, "--index", str(index))
        assert verifies(programs, "verify-inclusion", *entry, *tree)
        other = ("--leaf-hash", hashes[0], "--index", str(index))
        assert not verifies(programs, "verify-inclusion", *other, *tree)


def write(path: Path, hashes: list[bytes]) -> None:
    path.write_text("".join(f"{encode(one)}\n" for one in hashes))


@pytest.fixture
def witness(fresh: Ledger, tmp_path: Path, programs: Path) -> Iterator[VerifierKey]:
    """A witness of the ledger, which is given its address."""
    with fresh:
        log = verifier_key(fresh)
    port = free_port()
    program = str(programs / "aics-witness")
    config = ["--config", str(tmp_path / "witness.json")]
    listen = ["--listen", f"127.0.0.1:{port}"]
    made = subprocess.run(
        [program, "init", *config, "--name", "witness.example.org/w", *listen],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    key = VerifierKey.parse(made.stdout)
    subprocess.run(
        [program, "add-log", *config, "--origin", log.name, "--vkey", log.text()],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen([program, "serve", *config], stderr=subprocess.DEVNULL)
    fresh.env["AGENTLEDGER_ANCHORS"] = f"http://127.0.0.1:{port}#{key.text()}"
    yield key
    server.terminate()
    server.wait()


def test_a_witness_of_others_cosigns_growth_and_refuses_a_rewritten_log(
    fresh: Ledger, witness: VerifierKey
) -> None:
    with fresh:
        for session in "ab":
            size = record(fresh, session).size
            anchored(fresh, size)
        note = Note.parse(fresh.get("/api/checkpoints/latest").content)
        assert time.time() - 600 < note.signers([witness])[witness].time_s <= time.time() + 1
    rewrite(fresh)
    with fresh:
        record(fresh, "c")
        assert "which was rewritten" in failing(fresh)
        after = Note.parse(fresh.get("/api/checkpoints/latest").content)
        assert witness not in after.signers([witness]) and Checkpoint.parse(after.text).size > size
        wait_until(lambda: fresh.get("/readyz").status_code == 200)
