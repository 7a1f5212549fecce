"""Certificates for tests, made on the spot by `openssl`."""

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """One that signs, and everything that it has signed, in a directory."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self.cert, self.key = self._paths(name)
        subject = ("-days", "30", "-subj", f"/CN={name}")
        self._openssl("req", "-x509", *CURVE, "-keyout", self.key, "-out", self.cert, *subject)

    def _paths(self, name: str) -> tuple[str, str]:
        return str(self._directory / f"{name}.crt"), str(self._directory / f"{name}.key")

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def sign(
        self, name: str, *names: str, days: int = 20, key: Sequence[str] = CURVE
    ) -> tuple[str, str]:
        """The files of a certificate with these alternative names (`DNS:x`), and of its key."""
        cert, key_file = self._paths(name)
        request, extensions = str(self._directory / "request"), self._directory / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        self._openssl("req", *key, "-keyout", key_file, "-out", request, "-subj", f"/CN={name}")
        by = ("-CA", self.cert, "-CAkey", self.key, "-CAcreateserial")
        made = ("-days", str(days), "-extfile", str(extensions))
        self._openssl("x509", "-req", "-in", request, *by, *made, "-out", cert)
        return cert, key_file

    def client(self, *identity: str, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a client needs that trusts it, with its own certificate and key, where given."""
        context = ssl.create_default_context(cafile=self.cert)
        if identity:
            context.load_cert_chain(*identity)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context
