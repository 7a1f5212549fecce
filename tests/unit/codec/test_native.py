"""The template compiler: what it refuses, and the bytes it makes."""

import pytest

from gateway.codec.native import compile_template, programs


def test_program_bytes() -> None:
    text = 'a<symbol>b<seq><price><ts_recv:us><id><side:n|b|s>c<skipped:,"k":>}'
    assert compile_template("trade", text) == (
        b'\1\1\5,"k":\1}'  # version, kind, splice, tail
        b"\0\1a\1" + b"\0\1b\2" + b"\3\0" + b"\5\1" + b"\10" + b"\11\1n\1b\1s" + b"\0\1c"
    )


def test_long_literals_are_cut() -> None:
    program = compile_template("bbo", "x" * 300 + "<skipped:>")
    assert program == b"\1\2\0\0" + b"\0\xff" + b"x" * 255 + b"\0\x2d" + b"x" * 45


def test_every_channel_and_type_has_a_program() -> None:
    kinds = {(c, t) for c in ("trade", "bbo", "health") for t in ("update", "snapshot")}
    assert set(programs()) == kinds


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
