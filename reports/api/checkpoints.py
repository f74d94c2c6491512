"""GET /api/checkpoints: the log's checkpoints and the anchors that hold them; the latest one and
the log's key, as the texts that other programs verify."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from capture.evidence.note import KeyType, VerifierKey
from reports.api.pagination import IdPagination
from reports.api.renderers import TextRenderer
from reports.api.serializers import Object
from reports.api.viewsets import LedgerViewSet
from reports.evidence import key
from reports.evidence.anchors.progress import name_of
from reports.evidence.checkpoints import newest
from reports.models import Anchor, Checkpoint, LogKey
from reports.queries.parameters import ChoiceParameter, NumberParameter, Parameters

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
KEY_TYPES = {"log": KeyType.NOTE, "cosigner": KeyType.COSIGNATURE}
TEXT = {(200, "text/plain"): str}


class CheckpointParameters(Parameters):
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="maximum of checkpoints"
    )
    cursor = NumberParameter(
        lowest=1,
        highest=2**63 - 1,
        lookup="size__lt",
        help_text="start of the page, taken from the previous page's Link header",
    )


class KeyParameters(Parameters):
    of = ChoiceParameter(
        list(KEY_TYPES), help_text="`cosigner`: the same key as its cosignatures name it"
    )


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    timestamps = Object()

    class Meta:
        model = Checkpoint
        fields = ("size", "root", "at", "timestamps", "note")


class AnchorSerializer(serializers.ModelSerializer[Anchor]):
    class Meta:
        model = Anchor
        fields = (*("name", "size", "last_success_at", "last_failure_at", "failure", "is_failing"),)


class CheckpointsSerializer(serializers.Serializer[Any]):
    verifier_key = serializers.CharField(allow_null=True)
    anchors = AnchorSerializer(many=True)
    checkpoints = CheckpointSerializer(many=True)


class CheckpointViewSet(ListModelMixin, LedgerViewSet[Checkpoint]):
    """Returns the checkpoints of the log, newest first, with the key that signs them and the
    anchors, each with the size that it holds and its last success and failure; at most `limit`
    checkpoints (100 by default, up to 1000). `Link` has the next page."""

    list_name = "checkpoints"
    queryset = Checkpoint.objects.all()
    serializer_class = CheckpointSerializer
    pagination_class = IdPagination
    filterset_classes = {"list": CheckpointParameters}

    @extend_schema(responses=CheckpointsSerializer)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().list(request, *args, **kwargs)
        registered = key.in_force()
        names = [name_of(address) for address in settings.AGENTLEDGER.anchors]
        response.data = {
            "verifier_key": registered.verifier_key if registered else None,
            "anchors": AnchorSerializer(Anchor.objects.filter(pk__in=names), many=True).data,
            "checkpoints": response.data,
        }
        return response

    @extend_schema(responses=TEXT)
    def latest(self, request: Request) -> Response:
        """Returns the latest checkpoint as a signed note (c2sp.org/tlog-checkpoint)."""
        found = newest()
        if found is None:
            raise NotFound("there is no checkpoint yet: the log is empty")
        return Response(found.note)


class LogKeyViewSet(LedgerViewSet[LogKey]):
    """Returns the log's verifier key (c2sp.org/signed-note)."""

    queryset = LogKey.objects.none()
    renderer_classes = [TextRenderer]
    filterset_classes = {"retrieve": KeyParameters}

    @extend_schema(responses=TEXT)
    def retrieve(self, request: Request) -> Response:
        registered = key.in_force()
        if registered is None:
            raise NotFound("the log has no key yet: it is made within seconds of the first start")
        found = VerifierKey.parse(registered.verifier_key)
        of = VerifierKey(found.name, KEY_TYPES[self.parameters.get("of", "log")], found.public)
        return Response(of.text() + "\n")
