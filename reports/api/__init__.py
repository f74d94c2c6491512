"""The REST API: viewsets, serializers, renderers."""
