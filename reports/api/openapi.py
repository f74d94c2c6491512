"""The extensions with which drf-spectacular describes the API's views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.openapi import AutoSchema

from capture.models import Call


class LedgerAutoSchema(AutoSchema):
    def get_filter_backends(self) -> list[Any]:
        """Returns the backends of every action: the framework knows filters of lists alone."""
        return getattr(self.view, "filter_backends", [])


# The registration of subclasses has no types in drf-spectacular.
class ParametersExtension(DjangoFilterExtension):  # type: ignore[no-untyped-call]
    """Describes the parameters of views without a model too: each has a schema of its own."""

    target_class = "reports.api.viewsets.ParametersBackend"
    priority = 1

    def get_schema_operation_parameters(
        self, auto_schema: Any, *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        filterset_class = self.target.get_filterset_class(auto_schema.view)
        described: list[dict[str, Any]] = []
        for name, parameter in filterset_class.base_filters.items():
            # This method has no types in drf-spectacular.
            described += self.resolve_filter_field(  # type: ignore[no-untyped-call]
                auto_schema, Call, filterset_class, name, parameter
            )
        return described
