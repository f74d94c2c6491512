"""A time stamping authority as an anchor (RFC 3161): it signs that a checkpoint existed at a time.
It keeps nothing itself, so what it signed is stored with the checkpoint."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from capture.evidence.note import Note
from reports.evidence.anchors.held import AnchorFailed
from reports.evidence.http import Unavailable, post
from reports.models import Checkpoint

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest, TimeStampResponse

REQUEST_TYPE = "application/timestamp-query"
GRANTED = 0


@dataclass(frozen=True, slots=True)
class TimestampAnchor:
    name: str
    url: str
    certificates: Path | None  # of the authority's roots, PEM; None: the chain is not verified

    takes_all = False

    def notes(self) -> Iterator[Note]:
        """An authority keeps nothing."""
        return iter(())

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        try:
            from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
        except ImportError:
            raise AnchorFailed('it needs `pip install "agentledger[timestamp]"`') from None
        [*_, newest] = checkpoints
        stamped = Note.parse(newest.note.encode()).text.encode()
        builder = TimestampRequestBuilder().data(stamped).hash_algorithm(HashAlgorithm.SHA256)
        request = builder.build()
        try:
            reply = post(self.url, request.as_bytes(), REQUEST_TYPE)
        except Unavailable as error:
            raise AnchorFailed(str(error)) from None
        if reply.status != 200:
            raise AnchorFailed(reply.reason())
        self._check(request, reply.body, stamped)
        newest.timestamps[self.name] = base64.b64encode(reply.body).decode()
        newest.save(update_fields=["timestamps"])

    def _check(self, request: TimeStampRequest, body: bytes, stamped: bytes) -> None:
        """Raises AnchorFailed if this is no time stamp of these bytes, made now."""
        from rfc3161_client import VerificationError, decode_timestamp_response

        try:
            response = decode_timestamp_response(body)
            if self.certificates is not None:
                self._verify(request, response, stamped)
            is_ours = (
                response.status == GRANTED
                and response.tst_info.nonce == request.nonce
                and response.tst_info.message_imprint.message == sha256(stamped).digest()
            )
        except (ValueError, VerificationError) as error:
            raise AnchorFailed(f"its response is no valid time stamp: {error}") from None
        if not is_ours:
            raise AnchorFailed("its response is not the time stamp that was asked for")

    def _verify(
        self, request: TimeStampRequest, response: TimeStampResponse, stamped: bytes
    ) -> None:
        from cryptography.x509 import load_pem_x509_certificates
        from rfc3161_client import VerifierBuilder

        assert self.certificates is not None
        verifier = VerifierBuilder.from_request(request)
        for root in load_pem_x509_certificates(self.certificates.read_bytes()):
            verifier = verifier.add_root_certificate(root)
        verifier.build().verify_message(response, stamped)
