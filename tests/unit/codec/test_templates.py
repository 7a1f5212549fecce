"""The template compiler: what it refuses, and the bytes it makes."""

import pytest

from gateway import _native
from gateway.codec.formats import JSON, SBE, programs
from gateway.codec.template import compile_notice, compile_template
from gateway.model.notice import NOTICES
from gateway.model.record import CHANNELS


def test_program_bytes() -> None:
    text = 'a<symbol>b<seq><price><ts_recv:us><id><side:n|b|s>c<skipped:,"k":>}'
    assert compile_template("trade", text) == (
        b'\2\1\5,"k":\1}'  # version, kind, splice, tail
        b"\0\1a\1\0\1b\2" + b"\10\0" + b"\4\1" + b"\10\3" + b"\10\2\1n\1b\1s" + b"\0\1c"
    )


def test_a_symbol_says_how_it_is_spelled() -> None:
    text = "<symbol:bare><symbol:lower><symbol:bare_lower>"
    assert compile_template("trade", text + "<skipped:>") == b"\2\1\0\0\22\1\22\2\22\3"
    assert compile_notice("heartbeat", text) == b"\2\200\0\0\22\1\22\2\22\3"


def test_long_literals_are_cut() -> None:
    program = compile_template("bbo", "x" * 300 + "<skipped:>")
    assert program == b"\2\2\0\0" + b"\0\xff" + b"x" * 255 + b"\0\x2d" + b"x" * 45


def test_every_channel_and_type_has_a_program() -> None:
    kinds = {(c, t) for c in CHANNELS for t in ("update", "snapshot")}
    replays = {(c, "replay") for c in CHANNELS if c not in ("health", "book")}
    assert set(programs(SBE)[0]) == kinds
    assert set(programs(JSON)[0]) == kinds | replays


def test_notices_are_the_native_cores() -> None:
    assert [notice.number for notice in NOTICES.values()] == list(range(_native.NOTICES))
    text = "<channel><symbol><n><ts_send:ms>"
    assert compile_notice("heartbeat", text) == b"\2\200\0\0\14\1\11\0\5\2"
    assert compile_notice("slow", "<action><age_ms:or_null>") == b"\2\211\0\0\13\0\12\3"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("<ts_event:ns>", "takes no argument"),
        ("<epoch>", "a notice of heartbeat has no field 'epoch'"),
        ("<seq>", "no field 'seq'"),
        ("<symbol:x>", "is not one of bare, lower, bare_lower"),
        ("<skipped:x>", "takes no argument"),
    ],
)
def test_bad_notices(template: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_notice("heartbeat", template)


@pytest.mark.parametrize(
    ("notice", "parts", "why"),
    [
        ("heartbeat", ["u32 ts_send"], "a notice of heartbeat has no 'u32 ts_send'"),
        ("heartbeat", ["u64 seq"], "no 'u64 seq'"),
        ("heartbeat", ["u24 n"], "no 'u24 n'"),
        ("slow", ["action x"], "no 'action x'"),
        ("retired", ["symbol 1"], "no 'symbol 1'"),
        ("retired", [b"x" * 256], "256 bytes"),
        ("unheard-of", ["symbol"], "no notice 'unheard-of'"),
    ],
)
def test_bad_binary_notices(notice: str, parts: list[bytes | str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_notice(notice, parts)


@pytest.mark.parametrize(
    ("channel", "parts", "why"),
    [
        ("trade", [], "one `u64 skipped`"),
        ("trade", ["u64 skipped", "u64 skipped"], "one `u64 skipped`"),
        ("trade", ["u32 skipped"], "one `u64 skipped`"),
        ("trade", ["u64 skipped", "u32 seq"], "a trade has no 'u32 seq'"),
        ("trade", ["u64 skipped", "u64 sequence"], "no 'u64 sequence'"),
        ("trade", ["u64 skipped", "flags 2"], "no 'flags 2'"),
        ("trade", ["u64 skipped", "flags"], "no 'flags'"),
        ("trade", ["u64 skipped", "bid"], "no 'bid'"),
        ("trade", ["u64 skipped", "price 1"], "no 'price 1'"),
        ("trade", ["u64 skipped", "side 0 1"], "no 'side 0 1'"),
        ("trade", ["u64 skipped", "symbol x"], "no 'symbol x'"),
        ("trade", ["u64 skipped", b"x" * 256], "256 bytes"),
        ("nothing", ["u64 skipped"], "no channel 'nothing'"),
    ],
)
def test_bad_binary_records(channel: str, parts: list[bytes | str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_template(channel, parts)


@pytest.mark.parametrize(
    ("channel", "template", "why"),
    [
        ("trade", "<price>", "no <skipped"),
        ("trade", "<skipped:>x<seq>", "after the place"),
        ("trade", "<skipped:><skipped:>", "after the place"),
        ("trade", "<bid><skipped:>", "a trade has no field 'bid'"),
        ("bbo", "<price><skipped:>", "a bbo has no field 'price'"),
        ("bbo", "<id><skipped:>", "no field 'id'"),
        ("bbo", "<side:a|b|c><skipped:>", "takes no argument"),
        ("trade", "<side:a|b><skipped:>", "three texts"),
        ("trade", "<side><skipped:>", "three texts"),
        ("trade", "<ts_event><skipped:>", "ns, us, ms, rfc3339"),
        ("trade", "<ts_event:days><skipped:>", "ns, us, ms, rfc3339"),
        ("trade", "<seq:3><skipped:>", "takes no argument"),
        ("trade", "<symbol:upper><skipped:>", "is not one of bare, lower, bare_lower"),
        ("trade", "a<b<skipped:>", "bracket"),
        ("trade", "a>b<skipped:>", "bracket"),
        ("trade", "<Price><skipped:>", "bracket"),
        ("trade", "\u00e9<skipped:>", "ascii"),
        ("trade", "<skipped:" + "x" * 256 + ">", "256 bytes"),
    ],
)
def test_refused(channel: str, template: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_template(channel, template)


SYSTEM = '{"channel":"system","type":"%s","data":[{%s}]}'
GAP = SYSTEM % ("gap", '"channel":"bbo","symbol":"A.SIM",%s')
OURS = {
    "heartbeat": ((7,), (), '{"channel":"heartbeat","n":7,"ts_send":1723161255342000001}'),
    "epoch": ((), ("9f3a71c2",), SYSTEM % ("epoch", '"epoch":"9f3a71c2"')),
    "lapped": ((2, 2**64 - 2), (), GAP % '"from":2,"to":18446744073709551614,"reason":"lapped"'),
    "refused": ((), (), GAP % '"reason":"refused"'),
    "missed": ((3,), (), GAP % '"lost":3,"reason":"feed"'),
    "reset": ((), (), GAP % '"reason":"reset"'),
    "retired": ((), (), SYSTEM % ("retired", '"channel":"bbo","symbol":"A.SIM"')),
    "limit": (
        (200,),
        ("topics_per_connection", "*"),
        SYSTEM
        % ("limit_exceeded", '"limit":"topics_per_connection","value":200,"subscription":"*"'),
    ),
    "limits": (
        (4096, 17),
        (),
        SYSTEM % ("limit_exceeded", '"limit":"notices","value":4096,"refused":17'),
    ),
    "slow": (
        (2, 1, 250, 81, 1),
        ("conflate",),
        SYSTEM % ("slow", '"level":2,"was":1,"action":"conflate","interval_ms":250,"age_ms":81'),
    ),
    "conflation": ((2,), (), '{"channel":"system","type":"conflation","data":['),
    "class": ((2, 100, None, 3), (), '{"class":2,"interval_ms":100,"was_ms":null,"step":3}'),
    "class_more": ((3, None, 50, 3), (), ',{"class":3,"interval_ms":null,"was_ms":50,"step":3}'),
    "conflation_end": ((), (), "]}"),
    "shutdown": ((2000,), (), SYSTEM % ("shutdown", '"reconnect_after_ms":2000')),
    "auth_expiring": (
        (18 * 10**17,),
        (),
        SYSTEM % ("auth_expiring", f'"expires_at":{18 * 10**17}'),
    ),
    "replayed": (
        (8813, 9120, 2),
        ("bbo", "A.SIM"),
        SYSTEM % ("replay_completed", '"channel":"bbo","symbol":"A.SIM","from":8813,"to":9120'),
    ),
    "replayed_pattern": (
        (None, None, 2),
        ("bbo", "A*"),
        SYSTEM % ("replay_completed", '"channel":"bbo","symbol":"A*"'),
    ),
}


@pytest.mark.parametrize("notice", NOTICES)
def test_notices_of_our_json(notice: str) -> None:
    program = programs(JSON)[1].get(NOTICES[notice].number)
    if notice not in OURS:
        assert program is None
        return
    assert program is not None
    numbers, words, text = OURS[notice]
    told = _native.Template(program).notice(
        channel="bbo", symbol="A.SIM", numbers=numbers, words=words, ts_send=1723161255342000001
    )
    assert told.decode() == text
