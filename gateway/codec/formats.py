"""Wire formats as values: how records and notices become bytes, for clients that speak them.

Another format is another row of templates, here or with its dialect; the data plane runs what they
compile to, and has a log of encoded frames for each format that somebody speaks.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.codec import sbe_templates
from gateway.codec.template import Template, compile_notice, compile_template
from gateway.model.notice import NOTICES
from gateway.model.record import BOOK, CANDLES, CHANNELS, HEALTH


class Format(NamedTuple):
    """One of them.

    Attributes:
        name: unlike all others'.
        records: templates by channel and kind of message: `update` and `snapshot`, and `replay`
            where that differs; clients cannot subscribe to channels that are not there.
        notices: templates by notice; those that are not there are not told.
    """

    name: str
    records: Mapping[tuple[str, str], Template]
    notices: Mapping[str, Template]


Programs = tuple[dict[tuple[str, str], bytes], dict[int, bytes]]
"""(program by channel and kind of message, program by notice's number)."""


def programs(form: Format) -> Programs:
    """Compiles a format for the native core's plane."""
    return (
        {key: compile_template(key[0], template) for key, template in form.records.items()},
        {
            NOTICES[notice].number: compile_notice(notice, text)
            for notice, text in form.notices.items()
        },
    )


# --- our JSON (docs/protocol.md) ------------------------------------------------------------------

_HEAD: Final = (
    '{"channel":"<channel>","type":"<type>","symbol":"<symbol>","seq":<seq>,'
    '"ts_event":<ts_event:ns>,"ts_recv":<ts_recv:ns>,"ts_send":<ts_send:ns>,"data":['
)
_TAIL: Final = ']<skipped:,"skipped":>}'
_TAIL_REPLAY: Final = '],"replay":true<skipped:,"skipped":>}'
_TAIL_BOOK: Final = ']<part:,"part":[|]><skipped:,"skipped":>}'
_RECORDS: Final = {
    "trade": '{"id":"<id>","price":"<price>","qty":"<qty>","side":<side:null|"buy"|"sell">}',
    "bbo": '{"bid":"<bid>","bid_qty":"<bid_qty>","ask":"<ask>","ask_qty":"<ask_qty>"}',
    **{
        channel.key: f'{{"interval":"{interval}","start":<start>,"open":"<open>","high":"<high>",'
        '"low":"<low>","close":"<close>","volume":"<volume>","trades":<trades>,'
        '"closed":<closed:false|true><revised:|,"revised":true><partial:|,"complete":false>}'
        for interval, channel in CANDLES.items()
    },
    "instrument": '{"tick":"<tick>","lot":"<lot>","price_digits":<pdigits>,"qty_digits":<qdigits>,'
    '"base":"<base>","quote":"<quote>","bbo":<derived:"venue"|"derived">,"delay_s":<delay_s>,'
    '"status":"<status>","venue_symbol":"<own>"}',
    "status": '{"status":"<status>","reason":"<reason>"}',
    "health": '{"state":"<state>","reason":"<reason>","age_ms":<age_ms>}',
    BOOK: (
        '{<bids:"bids":[|]><asks:,"asks":[|]><depth:,"depth":|><first_id:,"first_id":"|">'
        '<last_id:,"last_id":"|"><maybe_bad:,"maybe_bad":true|><checksum:,"checksum":|>}'
    ),
}

_SYSTEM: Final = '{"channel":"system","type":"%s","data":[{%s}]}'
_TOPIC: Final = '"channel":"<channel>","symbol":"<symbol>"<interval:,"interval":"|">'
_GAP: Final = _SYSTEM % ("gap", _TOPIC + ",%s")
_REPLAYED: Final = _SYSTEM % (
    "replay_completed",
    '"channel":"<of>","symbol":"<subscription>"<interval:,"interval":"|">%s',
)
_CLASS: Final = (
    '{"class":<class>,"interval_ms":<interval_ms:or_null>,"was_ms":<was_ms:or_null>,"step":<step>}'
)
_NOTICES: Final = {
    "heartbeat": '{"channel":"heartbeat","n":<n>,"ts_send":<ts_send:ns>}',
    "epoch": _SYSTEM % ("epoch", '"epoch":"<epoch>"'),
    "lapped": _GAP % '"from":<from>,"to":<to>,"reason":"lapped"',
    "refused": _GAP % '"reason":"refused"',
    "missed": _GAP % '"lost":<lost>,"reason":"feed"',
    "reset": _GAP % '"reason":"reset"',
    "retired": _SYSTEM % ("retired", _TOPIC),
    "limit": _SYSTEM
    % ("limit_exceeded", '"limit":"<limit>","value":<value>,"subscription":"<subscription>"'),
    "limits": _SYSTEM % ("limit_exceeded", '"limit":"notices","value":<value>,"refused":<refused>'),
    "slow": _SYSTEM
    % (
        "slow",
        '"level":<level>,"was":<was>,"action":"<action>",'
        '"interval_ms":<interval_ms>,"age_ms":<age_ms>',
    ),
    "conflation": '{"channel":"system","type":"conflation","data":[',
    "class": _CLASS,
    "class_more": "," + _CLASS,
    "conflation_end": "]}",
    "shutdown": _SYSTEM % ("shutdown", '"reconnect_after_ms":<reconnect_after_ms>'),
    "replayed": _REPLAYED % ',"from":<from>,"to":<to>',
    "replayed_pattern": _REPLAYED % "",
    "auth_expiring": _SYSTEM % ("auth_expiring", '"expires_at":<expires_at>'),
}


def _message(channel: str, kind: str, tail: str) -> str:
    head = _HEAD.replace("<channel>", CHANNELS[channel].name).replace("<type>", kind)
    return head + _RECORDS[channel] + tail


TYPES: Final = ("update", "snapshot")
REPLAY: Final = "replay"
"""A record that was missed, as an update; a format that has no template of its own tells it as
one."""
JSON: Final = Format(
    "json",
    {
        (name, kind): _message(name, kind, _TAIL_BOOK if name == BOOK else _TAIL)
        for name in _RECORDS
        for kind in TYPES
    }
    | {
        (name, REPLAY): _message(name, "update", _TAIL_REPLAY)
        for name in _RECORDS
        if name not in (BOOK, HEALTH)
    },
    _NOTICES,
)

# --- binary (docs/sbe.md); instruments' health stays text -----------------------------------------

SBE: Final = Format(
    "sbe",
    {key: one for key, one in JSON.records.items() if key[1] != REPLAY} | sbe_templates.RECORDS,
    sbe_templates.NOTICES,
)

# --- what the gateway says of itself, in every format (docs/protocol.md) --------------------------

Local = tuple[bytes, bytes, bytes, bytes]
"""What stands before ts_send in an update and in a snapshot, between it and a report, behind it."""


def _local(template: str) -> Local:
    before, between, behind = re.split("<ts_send>|<report>", template)
    update, snapshot = (before.replace("<type>", kind) for kind in TYPES)
    return update.encode(), snapshot.encode(), between.encode(), behind.encode()


LOCALS: Final[dict[str, Local | None]] = {
    "slo": None,  # a report is the message: the window of the last seconds, the same for all
    "health": _local('{"channel":"health","type":"<type>","ts_send":<ts_send>,"data":[<report>]}'),
}
"""Of each channel on which the gateway speaks of itself: the data plane's local topics."""
