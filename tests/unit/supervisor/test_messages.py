"""Messages of supervisor and children: what one side writes the other reads, or says why not."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import feed, slow, stall, step, worker
from support.starts import started

from gateway.config import Config
from gateway.model.admin import Answer, Ask, ConnectionRow
from gateway.model.status import Load, Status, Vitals
from gateway.supervisor.messages import (
    DESCRIPTORS,
    Drain,
    Failed,
    FeedStart,
    Message,
    MessageError,
    Ready,
    Reload,
    Reopen,
    Report,
    Segment,
    ToChild,
    ToSupervisor,
    decode,
    encode,
    type_of,
)

CONFIG = msgspec.Raw(msgspec.json.encode(Config()))
CONNECTION = ConnectionRow(
    id="c-1", address="192.0.2.1", user="ann", subscriptions=2, pending_bytes=None, lag_ms=1.5
)
EVERY: list[Message] = [
    started(3),
    FeedStart(config=CONFIG, stats_fd=3, wait_fd=4, event_fds=(5, 6)),
    Segment(epoch="mwp2b06e"),
    Reload(config=CONFIG),
    Reopen(),
    Report(channel="slo", text='{"a": "\u5e01"}'),
    Ask(token=1, call="kick", user="ann"),
    Answer(token=1, rows=(CONNECTION,), count=1, last=False),
    Drain(),
    Ready(),
    Failed(exit=69, message="no port"),
    Status(),
    worker(stalls=(stall(1),), ladder=(step(1),), slowest=(slow(),), subscribers={"slo": 2}),
    Status(vitals=Vitals(load=Load(run_delay_ms=0.5, cpu=1.25)), feeds=(feed("udp:9700"),)),
]


def read(data: bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        decode(data)
    return caught.value


def test_each_class_is_tried() -> None:
    assert {*map(type, EVERY)} == {*ToChild.__args__, *ToSupervisor.__args__}


@pytest.mark.parametrize("message", EVERY, ids=type_of)
def test_what_is_written_is_read(message: Message) -> None:
    assert decode(encode(message), DESCRIPTORS.get(type(message), 0)) == message
    assert msgspec.json.decode(encode(message))["type"] == type_of(message)


def test_the_configuration_comes_through() -> None:
    message = decode(encode(Reload(config=CONFIG)))
    assert isinstance(message, Reload)
    assert msgspec.json.decode(message.config, type=Config) == Config()


@pytest.mark.parametrize(
    ("data", "type", "problem"),
    [
        (b'{"type":"bogus"}', "bogus", "Invalid value 'bogus' - at `$.type`"),
        (b'{"epoch":"x"}', "", "Object missing required field `type`"),
        (b'{"type":7}', "7", "Expected `str` - at `$.type`"),
        (b'{"type":"failed","exit":1}', "failed", "missing required field `message`"),
        (b'{"type":"failed","exit":"1","message":""}', "failed", "got `str` - at `$.exit`"),
        (b'{"type":"failed","exit":0,"message":""}', "failed", "`int` >= 1 - at `$.exit`"),
        (b'{"type":"failed","exit":256,"message":""}', "failed", "`int` <= 255 - at `$.exit`"),
        (b'{"type":"status","vitals":{"load":{"cpu":"x"}}}', "status", "`$.vitals.load.cpu`"),
        (
            b'{"type":"status","vitals":{"stalls":[{"ts":%d,"kind":"gc","ms":1,"words":""}]}}'
            % (1 << 64),
            "status",
            "Expected `int` <= 9223372036854775807 - at `$.vitals.stalls[0].ts`",
        ),
        (b'{"type":"reload"}', "reload", "missing required field `config`"),
        (b"[]", "", "Expected `object`, got `array`"),
        (b"\xff", "", "malformed"),
        (b"", "", "truncated"),
    ],
)
def test_a_refusal_names_the_type_and_the_member(data: bytes, type: str, problem: str) -> None:
    error = read(data)
    assert error.type == type
    assert problem in str(error)


def test_a_long_type_is_cut() -> None:
    assert len(read(b'{"type":"%s"}' % (b"x" * 1000)).type) == 40


def test_members_of_a_later_version_are_passed_over() -> None:
    assert decode(b'{"type":"drain","within_s":3}') == Drain()


def test_descriptors_are_counted() -> None:
    with pytest.raises(MessageError, match="0 descriptors, expected 1"):
        decode(encode(Segment(epoch="x")))
    with pytest.raises(MessageError, match="1 descriptors, expected 0"):
        decode(encode(Ready()), 1)


@given(
    st.binary(max_size=60)
    | st.sampled_from(EVERY)
    .map(encode)
    .flatmap(lambda data: st.integers(0, len(data) - 1).map(lambda at: data[:at] + data[at + 1 :]))
)
def test_anything_is_a_message_or_is_refused(data: bytes) -> None:
    with suppress(MessageError):
        assert isinstance(decode(data), msgspec.Struct)


def test_nesting_without_end_is_refused() -> None:
    deep = b"[" * 50_000
    assert read(deep).type == ""
    assert read(b'{"type":"failed","exit":' + deep).type == ""
