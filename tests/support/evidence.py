"""What tests of evidence share: checkpoints as they are served, a log that its owner rewrites, a
clock that is moved, and a time stamping authority."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from capture.evidence.checkpoint import Checkpoint
from capture.evidence.note import Note, VerifierKey
from tests.support.ledger import PROJECT, Ledger, wait_until


def follow_clock(ledger: Ledger, clock: Path) -> None:
    """Makes the ledger's time of day follow the file, which has the seconds that it is ahead."""
    set_clock(clock, 0)
    ledger.env |= {
        "PYTHONPATH": f"{PROJECT / 'tests' / 'support' / 'clock'}:{PROJECT}",
        "TEST_CLOCK": str(clock),
    }


def set_clock(clock: Path, ahead_s: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(str(ahead_s))
    new.replace(clock)


def listed(ledger: Ledger) -> dict[str, Any]:
    found: dict[str, Any] = ledger.get("/api/checkpoints").raise_for_status().json()
    return found


def latest(ledger: Ledger, *, after: int = 0) -> Checkpoint:
    """The latest checkpoint, once it is of more entries, valid by the log's key."""

    def found() -> Note | None:
        response = ledger.get("/api/checkpoints/latest")
        if response.status_code != 200:
            return None
        note = Note.parse(response.content)
        return note if Checkpoint.parse(note.text).size > after else None

    note = wait_until(found)
    keys = [verifier_key(ledger), verifier_key(ledger, "cosigner")]
    assert set(note.signers(keys)) == set(keys)
    return Checkpoint.parse(note.text)


def verifier_key(ledger: Ledger, of: str = "log") -> VerifierKey:
    def found() -> str | None:
        response = ledger.get("/api/log/key", params={"of": of})
        return response.text if response.status_code == 200 else None

    return VerifierKey.parse(wait_until(found))


def anchor(ledger: Ledger) -> dict[str, Any]:
    """The ledger's only anchor, once it was tried."""
    [found] = wait_until(lambda: listed(ledger)["anchors"])
    return dict(found)


def anchored(ledger: Ledger, size: int) -> dict[str, Any]:
    """The ledger's only anchor, once it holds the log up to this size."""

    def found() -> dict[str, Any] | None:
        state = anchor(ledger)
        return state if state["size"] >= size and not state["is_failing"] else None

    state: dict[str, Any] = wait_until(found)
    return state


def failing(ledger: Ledger) -> str:
    """Why the ledger's only anchor fails, once it does and /readyz says so."""
    state = wait_until(lambda: (found := anchor(ledger))["is_failing"] and found)
    readiness = wait_until(
        lambda: (
            (found := ledger.get("/readyz"))
            and any("the anchor " in reason for reason in found.json()["reasons"])
            and found
        )
    )
    assert readiness.status_code == 200 and readiness.json()["status"] == "degraded"
    return str(state["failure"])


def sign(ledger: Ledger) -> Checkpoint:
    """Makes a checkpoint of all that is in the log, as an export does."""
    done = ledger.command(
        "shell", "-v", "0", "-c",
        "from capture.ledger.log.read import log_size\n"
        "from reports.evidence.checkpoints import covering\n"
        "print(covering(log_size()).size)",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return latest(ledger, after=int(done.stdout) - 1)


def execute(ledger: Ledger, *statements: str) -> None:
    with closing(sqlite3.connect(ledger.folder / "agentledger.db", timeout=20)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


# Of a log of at most 256 entries.
OTHER_FIRST_ENTRY = (
    "UPDATE capture_logtile SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB)"
)


def rewrite(ledger: Ledger) -> None:
    """Does what a dishonest owner does, who has the database and the key: the first entry is
    another one, and nothing here remembers what the log was."""
    execute(
        ledger,
        OTHER_FIRST_ENTRY,
        "DELETE FROM reports_checkpoint",
        "DELETE FROM reports_anchor",
    )


def proof(ledger: Ledger, old: int, size: int) -> list[bytes]:
    """The consistency proof between two sizes of the log."""
    done = ledger.command(
        "shell", "-v", "0", "-c",
        "import json\nfrom capture.ledger.log.read import tree_at\n"
        f"print(json.dumps([one.hex() for one in tree_at({size}).consistency_proof({old})]))",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [bytes.fromhex(one) for one in json.loads(done.stdout)]


class TimestampAuthority:
    """An authority of RFC 3161 on a port of its own; `openssl ts` signs for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.roots = folder / "root.pem"
        self._make_certificates()
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["content-length"]))
                reply = authority.reply(query)
                self.send_response(200)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> TimestampAuthority:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        subprocess.run(
            ["openssl", "ts", "-reply", "-config", "ts.conf", "-queryfile", "query"]
            + ["-out", "reply"],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return (self.folder / "reply").read_bytes()

    def verify(self, data: bytes, reply: bytes) -> bool:
        """Whether `openssl` finds the time stamp valid."""
        (self.folder / "data").write_bytes(data)
        (self.folder / "given").write_bytes(reply)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", "data", "-in", "given", "-CAfile", "root.pem"],
            cwd=self.folder, capture_output=True,
        )  # fmt: skip
        return done.returncode == 0

    def _make_certificates(self) -> None:
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name, name = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("root", "tsa")
        )
        root = (
            _certificate(root_name, root_name, root_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        own = (
            _certificate(name, root_name, key.public_key())
            .add_extension(usage, critical=True)
            .sign(root_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.roots.write_bytes(root.public_bytes(pem))
        (self.folder / "tsa.pem").write_bytes(own.public_bytes(pem))
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "tsa.key").write_bytes(private)
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ts.conf").write_text(
            "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\n"
            "signer_key = tsa.key\nsigner_digest = sha256\n"
            "default_policy = 1.2.3.4\ndigests = sha256, sha512\nordering = yes\n"
            "ess_cert_id_chain = no\n"
        )


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
