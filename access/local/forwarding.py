"""The marks that proxies, tunnels and content delivery networks leave on requests that they
forward."""

from __future__ import annotations

from collections.abc import Mapping

HEADERS = frozenset(
    "forwarded via x-real-ip x-real-port client-ip x-client-ip true-client-ip x-true-client-ip"
    " x-cluster-client-ip x-remote-ip x-remote-addr x-proxyuser-ip x-sucuri-clientip"
    " x-nf-client-connection-ip incap-client-ip ali-cdn-real-ip cdn-loop x-host x-scheme x-proto"
    " x-url-scheme front-end-https x-arr-ssl x-arr-log-id x-rewrite-url x-proxied-for"
    " x-proxied-host x-http-host-override x-nginx-proxy x-varnish x-middleware-subrequest".split()
)
PREFIXES = (
    *("x-forwarded", "x-original-", "x-envoy-", "x-azure-", "x-appengine-", "x-vercel-"),
    *("cf-", "fastly-", "fly-", "cloudfront-", "x-amz-cf-", "tailscale-", "x-proxy-", "x-ngrok-"),
)


def find_mark(headers: Mapping[str, str], http_version: str) -> str | None:
    """Returns what says that a request came through something that forwards; None if nothing does.
    Names of headers are in lower case.

    Browsers and programs have spoken HTTP/1.1 for decades; nginx forwards by HTTP/1.0.
    """
    if http_version in ("0.9", "1.0"):
        return f"HTTP/{http_version}"
    return next((name for name in headers if name in HEADERS or name.startswith(PREFIXES)), None)
