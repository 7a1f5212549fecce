"""`configs/production.toml` at a site of its own: its paths are in a directory of the test's."""

import tomllib
from pathlib import Path
from typing import Any

from support.certificates import Authority
from support.identity import Issuer

FILE = Path(__file__).parents[2] / "configs/production.toml"
PLACES = ("/etc/tickgate", "/var/lib/tickgate")


def production(directory: Path) -> dict[str, Any]:
    """What it says, with this directory for those that it names."""
    text = FILE.read_text()
    for place in PLACES:
        assert f'"{place}/' in text
        text = text.replace(f'"{place}/', f'"{directory}/')
    return tomllib.loads(text)


def furnish(directory: Path) -> tuple[Authority, Issuer]:
    """Puts the files there that it needs; who signed them."""
    authority, issuer = Authority(directory), Issuer(directory)
    cert, key = authority.sign("signed", "DNS:localhost", "IP:127.0.0.1")
    Path(cert).rename(directory / "gateway.pem")
    Path(key).rename(directory / "gateway.key")
    issuer.path("jwt_keys").rename(directory / "keys.json")
    issuer.api_key("robot")
    for suffix in ("", ".pepper"):
        issuer.path(f"api_keys{suffix}").rename(directory / f"apikeys.json{suffix}")
    (directory / "grants.toml").write_text(
        '["*"]\ngrants = [{ channels = ["*"], instruments = ["*"] }]\n'
    )
    return authority, issuer
