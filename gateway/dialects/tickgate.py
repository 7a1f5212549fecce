"""Our own protocol (docs/protocol.md): JSON, or records as binary frames beside JSON."""

from collections.abc import Sequence
from typing import Final

from gateway.codec.formats import JSON, SBE
from gateway.dialects.dialect import Arrival, Dialect, Formats
from gateway.session.actions import Action
from gateway.session.catalog import Catalog
from gateway.session.options import Shared
from gateway.session.session import Session

PATH: Final = "/v1"
SUBPROTOCOL_PREFIX: Final = "tickgate.v1."
"""Before a format's name."""

_FORMATS: Final[Formats] = {
    None: JSON,
    **{SUBPROTOCOL_PREFIX + form.name: form for form in (JSON, SBE)},
}


def _open(arrival: Arrival, catalog: Catalog, shared: Shared) -> tuple[Session, Sequence[Action]]:
    session = Session(arrival.connection_id, catalog, shared)
    return session, (session.hello(arrival.real_ns),)


TICKGATE: Final = Dialect("tickgate", {PATH: _FORMATS}, _open)
