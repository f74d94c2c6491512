from django.apps import AppConfig
from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_save


class CaptureConfig(AppConfig):
    name = "capture"
    verbose_name = "Capture"

    def ready(self) -> None:
        from access.models import AuditEntry

        post_save.connect(_wake_recorder, sender=AuditEntry)


def _wake_recorder(**_: object) -> None:
    """The recorder copies entries of the audit log to the ledger's log."""
    from capture.spool.folder import Folder

    transaction.on_commit(Folder(settings.AGENTLEDGER.spool_path).ring_doorbell)
