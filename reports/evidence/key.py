"""The key that signs checkpoints: where it is kept, and the ledger's register of its keys.

The ledger registers the first key that it meets. A process that has another one must not sign:
checkpoints by two keys would look like those of two logs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.utils.timezone import now

from access.local import key_file
from capture.evidence.note import Signer, VerifierKey
from capture.ledger.identity import identify
from capture.models import Ledger
from reports.models import LogKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "agentledger-signing-key"
NEXT = ".next"  # the suffix of a key that is about to take the place of the one before it


class CannotSign(Exception):
    """No checkpoint can be made here: one sentence says why."""


def signer() -> Signer:
    """Returns the key that the ledger has registered, which it does with the first one. Raises
    CannotSign if this process has another one, or none."""
    one = registered_signer()
    if one.name != origin():
        raise CannotSign(
            f"the log's name is {one.name}, and {origin()} here: change AGENTLEDGER_LOG_ORIGIN, or"
            " `manage.py signing_key --rotate`"
        )
    return one


def registered_signer() -> Signer:
    """Returns the key under the name that it was registered with. Raises CannotSign."""
    registered = in_force() or _register(read_private(None))
    key = VerifierKey.parse(registered.verifier_key)
    one = Signer(key.name, read_private(registered))
    if one.key != key:
        raise CannotSign(
            f"the key here is {one.key.text()}, and the ledger's is {key.text()}: put that one"
            " back, or `manage.py signing_key --rotate --lost`"
        )
    return one


def in_force() -> LogKey | None:
    return LogKey.objects.filter(retired_at=None).first()


def origin() -> str:
    named: str | None = settings.AGENTLEDGER.log_origin
    return named or f"agentledger/{identify().id}"


def verifier_keys() -> list[VerifierKey]:
    """Returns the keys that the log has had, the latest first."""
    texts = LogKey.objects.order_by("-id").values_list("verifier_key", flat=True)
    return [VerifierKey.parse(text) for text in texts]


# --- where the private key is ---


def file_of_key() -> Path | None:
    """None: it is shared by the database."""
    config = settings.AGENTLEDGER
    if config.signing_key_file is not None:
        return Path.cwd() / config.signing_key_file
    if connection.vendor == "sqlite":
        beside: Path = config.spool_path.parent / FILE
        return beside
    return None


def read_private(registered: LogKey | None) -> Ed25519PrivateKey:
    """Returns the key of this process, and makes it if the ledger has none yet. Raises
    CannotSign."""
    file = file_of_key()
    if file is None:
        if registered is None:
            return _from_pem(new_pem())
        if not registered.private:
            raise CannotSign("the ledger's key is in a file: AGENTLEDGER_SIGNING_KEY_FILE names it")
        return _from_pem(registered.private)
    try:
        if registered is not None:
            _finish_rotation(file, registered)
        elif not file.exists() and not settings.AGENTLEDGER.is_given("signing_key_file"):
            key_file.make(file, new_pem())
        return _from_pem(key_file.read(file))
    except OSError as error:
        raise CannotSign(f"the signing key {file} cannot be read: {error.strerror}") from None
    except ValueError:  # UnicodeDecodeError is one
        raise CannotSign(f"{file} holds no Ed25519 key as PEM without a password") from None


def new_pem() -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return to_pem(Ed25519PrivateKey.generate())


def to_pem(private: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _from_pem(pem: str) -> Ed25519PrivateKey:
    """Raises ValueError."""
    # Imported here, as in capture.evidence.note.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # it has a password
        raise ValueError(str(error)) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("a key of another type")
    return private


def _register(private: Ed25519PrivateKey) -> LogKey:
    with transaction.atomic():
        Ledger.objects.select_for_update().get(pk=1)
        registered = in_force()
        if registered is not None:
            return registered
        return _save(Signer(origin(), private).key, private)


# --- rotation ---


def read_new(file: Path | None) -> Ed25519PrivateKey:
    """Returns the key of this file, or a new one. Raises CannotSign."""
    try:
        return _from_pem(key_file.read(file) if file else new_pem())
    except OSError as error:
        raise CannotSign(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CannotSign(f"{file} holds no Ed25519 key as PEM without a password") from None


def stage(private: Ed25519PrivateKey) -> None:
    """Keeps a new key beside the one in force, so that a crash loses neither. The operator's own
    file is left alone."""
    file = file_of_key()
    if file is not None and not settings.AGENTLEDGER.is_given("signing_key_file"):
        following = file.with_name(file.name + NEXT)
        following.unlink(missing_ok=True)
        key_file.make(following, to_pem(private))


def replace(new: Signer, private: Ed25519PrivateKey) -> None:
    """Registers a key in the place of the one in force. The caller has a transaction."""
    LogKey.objects.filter(retired_at=None).update(retired_at=now(), private="")
    _save(new.key, private)


def _save(verifier_key: VerifierKey, private: Ed25519PrivateKey) -> LogKey:
    return LogKey.objects.create(
        verifier_key=verifier_key.text(),
        registered_at=now(),
        private=to_pem(private) if file_of_key() is None else "",
    )


def _finish_rotation(file: Path, registered: LogKey) -> None:
    """Puts a new key in the place of the old one, once it is registered."""
    following = file.with_name(file.name + NEXT)
    if following.exists():
        private = _from_pem(key_file.read(following))
        key = VerifierKey.parse(registered.verifier_key)
        if Signer(key.name, private).key == key:
            following.replace(file)
