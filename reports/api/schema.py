"""GET /api/schema: the API described for programs (OpenAPI 3.1), and a page to try it out."""

from __future__ import annotations

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.renderers import TemplateHTMLRenderer

from reports.api.renderers import LedgerJSONRenderer


class Schema(SpectacularAPIView):
    renderer_classes = [LedgerJSONRenderer]


class SchemaPage(SpectacularSwaggerView):
    """Its scripts are files."""

    url_name = "schema"
    template_name = "api/schema.html"
    renderer_classes = [TemplateHTMLRenderer]


schema = Schema.as_view()
# Swagger UI sets inline styles.
view = csp_update({"style-src": [UNSAFE_INLINE]})(SchemaPage.as_view())
