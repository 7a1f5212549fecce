"""What a client may send, as structs that the decoder checks, and what the session answers with.

One tagged union decodes a request in one pass: unknown fields, wrong types and missing fields fail
with the field's path in the text. Parameters of the protocol that this version does not have are
declared, so that they can be refused by name.
"""

import json
import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

REQ_ID_MAX: Final = 36
"""Characters of a textual `req_id`: a UUID with its dashes."""

# 64-bit, as in every other language that speaks the protocol.
Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
ReqId = Int64 | Annotated[str, Meta(max_length=REQ_ID_MAX)] | UnsetType


_FROMS: Final = ({"epoch", "seq"}, {"last"}, {"ts"})


class From(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where a client left off: the last `seq` it has, and the epoch that it belongs to; or the
    `last` so many; or what was received from `ts` on."""

    epoch: str | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    last: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)] | UnsetType = UNSET
    ts: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        given = {name for name in self.__struct_fields__ if getattr(self, name) is not UNSET}
        if given not in _FROMS:
            raise ValueError("takes `epoch` and `seq`, or `last`, or `ts`")


class _Params(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    channel: str
    symbol: list[str]
    scope: Literal["gateway", "instruments"] | UnsetType = UNSET
    interval: str | UnsetType = UNSET


class DeliveryParams(_Params, frozen=True):
    """How the records of a subscription are delivered."""

    snapshot: bool | UnsetType = UNSET
    mode: Literal["conflate", "lossless"] | UnsetType = UNSET
    class_: Any = field(default=UNSET, name="class")
    max_hz: Any = UNSET
    max_age_ms: Any = UNSET
    depth: Any = UNSET


class SubscribeParams(DeliveryParams, frozen=True):
    """Of `subscribe`."""

    from_: From | UnsetType = field(default=UNSET, name="from")


class UpdateParams(DeliveryParams, frozen=True):
    """Of `update`: what is absent stays as it is."""


class UnsubscribeParams(_Params, frozen=True):
    """Of `unsubscribe`."""


class ListParams(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of `list`: only this channel (and interval), only names that one of the strings covers, the
    page after."""

    channel: str | UnsetType = UNSET
    interval: str | UnsetType = UNSET
    symbol: list[str] | UnsetType = UNSET
    after: str | UnsetType = UNSET


class StatsParams(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of `stats`: the page after; the number is the `next` of the page before."""

    after: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET


class PingParams(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of `ping`: the client's own time, echoed."""

    t0: Int64 | UnsetType = UNSET


class AuthParams(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of `auth`."""

    token: str


class HistoryParams(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of `history`: REALTIME ns, and how many points at the most."""

    from_: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = field(
        default=UNSET, name="from"
    )
    to: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    points: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET


class _Request(Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", kw_only=True):
    req_id: ReqId = UNSET


class Subscribe(_Request, frozen=True, tag="subscribe"):
    """Asks for the records of names and patterns."""

    params: SubscribeParams


class Update(_Request, frozen=True, tag="update"):
    """Changes parameters without a resync."""

    params: UpdateParams


class Unsubscribe(_Request, frozen=True, tag="unsubscribe"):
    """Ends subscriptions, each named by the string it was asked for with."""

    params: UnsubscribeParams


class List(_Request, frozen=True, tag="list"):
    """Which instruments there are."""

    params: ListParams | UnsetType = UNSET


class Stats(_Request, frozen=True, tag="stats"):
    """What became of the records of this connection's subscriptions."""

    params: StatsParams | UnsetType = UNSET


class Ping(_Request, frozen=True, tag="ping"):
    """Measures the way there and back, and the clocks' offset."""

    params: PingParams | UnsetType = UNSET


class Auth(_Request, frozen=True, tag="auth"):
    """Who the client is."""

    params: AuthParams


class History(_Request, frozen=True, tag="history"):
    """What latency and counts were; on the ops listener only."""

    params: HistoryParams | UnsetType = UNSET


Request = Subscribe | Update | Unsubscribe | List | Stats | Ping | Auth

OpsRequest = Subscribe | Unsubscribe | Ping | History
"""What the ops listener takes."""

METHODS: Final = ("subscribe", "update", "unsubscribe", "list", "stats", "ping", "auth")
METHODS_OPS: Final = ("subscribe", "unsubscribe", "ping", "history")


def method_of(request: Request) -> str:
    """Its method."""
    return str(request.__struct_config__.tag)


class Malformed(ValueError):
    """The text is no request; `method` and `req_id` are set as far as they could be read."""

    def __init__(self, reason: str, method: str | UnsetType, req_id: ReqId) -> None:
        super().__init__(reason)
        self.method = method
        self.req_id = req_id


class _Identity(Struct, frozen=True):
    method: Any = UNSET
    req_id: Any = UNSET


_R = TypeVar("_R", bound=Request | OpsRequest)

_REQUEST: Final["msgspec.json.Decoder[Request]"] = msgspec.json.Decoder(Request)
_OPS_REQUEST: Final["msgspec.json.Decoder[OpsRequest]"] = msgspec.json.Decoder(OpsRequest)
_IDENTITY: Final = msgspec.json.Decoder(_Identity)
_REQ_ID: Final = msgspec.json.Decoder(ReqId)
_REQ_ID_TEXT: Final = re.compile(r'"req_id"\s*:\s*(-?[0-9]{1,19}|"[^"\\]{0,36}")\s*[,}]')


def decode(text: str) -> Request:
    """The request that the text holds.

    Raises:
        Malformed: why it is none.
    """
    return _decode(_REQUEST, text)


def decode_ops(text: str) -> OpsRequest:
    """As `decode`, of what the ops listener takes."""
    return _decode(_OPS_REQUEST, text)


def _decode(decoder: "msgspec.json.Decoder[_R]", text: str) -> _R:
    try:
        request = decoder.decode(_without_nulls(text) if "null" in text else text)
        # Each key has one colon, so more colons than distinct keys mean that a key came twice or
        # that a string holds a colon; only then is it worth a second look.
        if text.count(":") != _keys(request):
            json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise Malformed(_reason(error), *identify(text)) from None
    return request


def _without_nulls(text: str) -> str | bytes:
    """The text without parameters that are null: programs write so what they leave out."""
    raw = msgspec.json.decode(text)
    if not isinstance(raw, dict):
        return text
    params = raw.get("params")
    if params is None:
        raw.pop("params", None)
    elif isinstance(params, dict):
        raw["params"] = {name: value for name, value in params.items() if value is not None}
    return msgspec.json.encode(raw)


def identify(text: str) -> tuple[str | UnsetType, ReqId]:
    """Method and `req_id` of a text that may be no request, each UNSET where it can't be read."""
    try:
        identity = _IDENTITY.decode(text)
    except (ValueError, RecursionError):
        found = _REQ_ID_TEXT.search(text)
        return UNSET, UNSET if found is None else _req_id(found[1])
    method = identity.method if isinstance(identity.method, str) else UNSET
    try:
        return method, msgspec.convert(identity.req_id, ReqId)
    except msgspec.ValidationError:
        return method, UNSET


def _req_id(text: str) -> ReqId:
    try:
        req_id: ReqId = _REQ_ID.decode(text)
    except ValueError:
        return UNSET
    return req_id


def _keys(request: Request | OpsRequest) -> int:
    """Distinct keys in the text of a request, its tag included."""
    keys = 2 if request.req_id is not UNSET else 1
    params = request.params
    if params is not UNSET:
        values = msgspec.structs.astuple(params)
        keys += 1 + len(values) - values.count(UNSET)
        if isinstance(params, SubscribeParams) and params.from_ is not UNSET:
            since = msgspec.structs.astuple(params.from_)
            keys += len(since) - since.count(UNSET)
    return keys


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"key `{key}` came twice")
        seen.add(key)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "the text is not UTF-8"
    return str(error)
