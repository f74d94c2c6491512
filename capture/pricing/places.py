"""Where a call ran, as far as that may decide its price: by the upstream's host, the path, the
model's name, and what the response says of it."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from capture.wire import hosts
from capture.wire.types import JSON

_LOCATION_IN_PATH = re.compile(r"/locations/([^/]+)/(?:publishers|endpoints)/")
_BEDROCK_MODEL = re.compile(
    r"(us|eu|apac|ap|au|jp|in|ca|sa|me|af|us-gov|global)\.[a-z0-9]+\.[a-z]", re.IGNORECASE
)
_BEDROCK_ARN = re.compile(
    r"arn:aws[\w-]*:bedrock:([\w-]+):\d*:([a-z-]+)/(.*)", re.IGNORECASE | re.DOTALL
)
# Of a host: the region that it names, and what it is named after.
_HOSTS = (
    ("openai", re.compile(r"([a-z]{2,8})\.api\.openai\.com")),
    ("x-ai", re.compile(r"([a-z0-9-]+)\.api\.x\.ai")),
    ("together", re.compile(r"([a-z]{2})-api\.together\.(?:ai|xyz)")),
    ("vertex", re.compile(r"([a-z0-9-]+)-aiplatform\.googleapis\.com")),
    ("vertex", re.compile(r"aiplatform\.([a-z0-9-]+)\.rep\.googleapis\.com")),
    ("bedrock", re.compile(r"bedrock-(?:runtime|mantle)(?:-fips)?\.([a-z0-9-]+)\..+")),
)
_AZURE = tuple(f".{host}" for host in hosts.AZURE)
# No region in particular.
_ANYWHERE = ("global", "not_available", "")


def place_of(
    *, upstream: str | None, path: str, model: str | None, inference_geo: JSON
) -> str | None:
    """Returns the place as premiums.toml names it, `vertex europe-west1`; None if nothing names
    one. `upstream` is a URL, `model` the one that was requested, `inference_geo` what Anthropic's
    usage says."""
    if model and (found := _place_of_bedrock_model(model)):
        return found if found != "bedrock global" else None
    if "/locations/" in path and (located := _LOCATION_IN_PATH.search(path)):
        return _place("vertex", located[1])
    if isinstance(inference_geo, str):
        return _place("anthropic", inference_geo)
    return _place_of_host(upstream) if upstream else None


def _place(kind: str, region: str) -> str | None:
    region = region.strip().lower()[:64]
    return f"{kind} {region}" if region not in _ANYWHERE else None


def _place_of_bedrock_model(model: str) -> str | None:
    arn = _BEDROCK_ARN.fullmatch(model)
    if arn is not None:
        region, kind, model = arn.groups()
        if kind.lower() in ("application-inference-profile", "provisioned-model"):
            return f"bedrock {kind.lower()}"
    if found := _BEDROCK_MODEL.match(model):
        return f"bedrock {found[1].lower()}"
    return f"bedrock {region.lower()}" if arn is not None else None


@lru_cache(256)
def _place_of_host(url: str) -> str | None:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return None
    if host.endswith(_AZURE):
        return f"azure {host.partition('.')[0]}"
    for kind, pattern in _HOSTS:
        if found := pattern.fullmatch(host):
            return _place(kind, found[1])
    return None
