"""Which listeners the world may reach as they are configured; others must be meant to be open."""

from typing import Final

from gateway.networks import is_loopback

OPEN: Final = "serves it as it is"
"""What `insecure = true` does, in the words of a problem."""


def clients_problem(
    host: str, *, tls: bool, authenticated: bool, proxied: bool, insecure: bool
) -> str:
    """Why clients may not be served there; empty where they may.

    Args:
        host: where they connect.
        tls: whether the listener speaks it.
        authenticated: whether clients must or may say who they are (`auth.mode` is not "none").
        proxied: whether trusted proxies are named, which end TLS in its place.
        insecure: whether it is meant to be open.
    """
    missing = [] if tls or proxied else ["TLS, or listen.trusted_proxies where a proxy ends it"]
    missing += [] if authenticated else ['auth.mode other than "none"']
    return _problem("listen", host, missing, insecure)


def ops_problem(host: str, *, tls: bool, token: bool, insecure: bool) -> str:
    """Why the ops listener may not be there; empty where it may.

    Args:
        host: where it is.
        tls: whether it speaks it.
        token: whether its users must have one.
        insecure: whether it is meant to be open.
    """
    missing = [] if tls else ["TLS"]
    missing += [] if token else ["a token"]
    return _problem("ops", host, missing, insecure)


def _problem(section: str, host: str, missing: list[str], insecure: bool) -> str:
    if insecure or not missing or is_loopback(host):
        return ""
    return (
        f"found false; other hosts reach {section}.host = {host!r}, which lacks "
        f"{' and '.join(missing)}; {section}.insecure = true {OPEN}"
    )
