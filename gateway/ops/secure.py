"""TLS of the ops listener, which few use and no tick passes: asyncio's."""

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.options import TlsOptions

SUITES_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""As of the clients' listener (native/gw_tls_context.c)."""


def server_context(options: "TlsOptions") -> ssl.SSLContext:
    """Of the certificates as they are now.

    Raises:
        OSError: one of the files is no good; configurations are checked for that before.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_12)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    if options.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(options.client_ca)
    renew(context, options)
    return context


def renew(context: ssl.SSLContext, options: "TlsOptions") -> None:
    """Has handshakes from now on use the files as they are now.

    Raises:
        OSError: one of the files is no good.
    """
    context.load_cert_chain(options.cert, options.key)
    named = {}
    for one in options.names:
        named[one.name.lower()] = made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(one.cert, one.key)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked = (name or "").lower()
        other = named.get(asked) or named.get(f"*.{asked.partition('.')[2]}")
        if other is not None:
            connection.context = other

    context.sni_callback = choose if named else None
