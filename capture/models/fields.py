"""What columns of several tables share."""

from __future__ import annotations

from django.db.models import Q

# The longest x-agentledger-* field that is recorded: capture.proxy.recorded_headers.MAX_FIELD.
FIELD_LENGTH = 512
# Names that come from bodies, such as models and stop reasons, are truncated to this.
NAME_LENGTH = 255

VISIBLE = Q(deleted_at=None)


def is_set(field: str) -> Q:
    return Q(**{f"{field}__isnull": False})
