"""Our own protocol (docs/protocol.md): JSON, or records as binary frames beside JSON."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from gateway.codec.formats import JSON, SBE
from gateway.dialects.dialect import Arrival, Dialect, Formats
from gateway.model.encoding import SUBPROTOCOL_PREFIX
from gateway.session.actions import Action
from gateway.session.catalog import Catalog
from gateway.session.options import Shared
from gateway.session.session import Session
from gateway.wire.response import Response

PATH: Final = "/v1"
SCHEMA_PATH: Final = "/v1/schema.xml"
"""Of the binary frames' schema, which is a page and no WebSocket."""

_FORMATS: Final[Formats] = {
    None: JSON,
    **{SUBPROTOCOL_PREFIX + form.name: form for form in (JSON, SBE)},
}


def _open(arrival: Arrival, catalog: Catalog, shared: Shared) -> tuple[Session, Sequence[Action]]:
    session = Session(arrival.connection_id, catalog, shared, arrival.access, arrival.room)
    return session, (session.hello(arrival.real_ns), *session.begin())


@cache
def _schema() -> Response:
    """The schema that a client's codecs of our binary frames are generated from."""
    from gateway.codec.schema import schema  # an XML parser, which no worker needs before

    return Response(200, schema(), "application/xml", result="schema")


TICKGATE: Final = Dialect({PATH: _FORMATS}, _open, {SCHEMA_PATH: _schema})
