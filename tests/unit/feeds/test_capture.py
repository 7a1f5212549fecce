"""Captures: stamps of lines, envelopes, compression, damage, and several files as one stream."""

import bz2
import gzip
import json
import lzma
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.feeds import capture, envelope, files
from gateway.feeds.capture import OPEN_MAX, Entry, entries, merged, split, symbols
from gateway.feeds.envelope import CONNECTION_CHARACTERS_MAX, Opened, Received, Response
from gateway.feeds.files import CaptureError, expand, lines
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues import binance
from gateway.feeds.venues.arrays import SLICE_BYTES
from gateway.feeds.venues.table import VENUES
from gateway.recording import MAGIC

T0 = 1_723_161_255_000_000_000
MARK = b"\xef\xbb\xbf"


def trade(number: int, symbol: str = "BTCUSDT") -> bytes:
    data = {"e": "trade", "s": symbol, "t": number, "p": "1", "q": "1", "T": 8, "m": True}
    return json.dumps({"stream": "x@trade", "data": data}).encode()


def uncut(path: str, count: int, why: str) -> None:
    raise AssertionError(f"{path} is cut after {count}: {why}")


@pytest.mark.parametrize(
    ("line", "stamp", "payload"),
    [
        (b"1723161255000000000 {} \n", T0, b"{} \n"),
        (b"1723161255000000 {}\n", T0, b"{}\n"),
        (b"1723161255000 {}\r\n", T0, b"{}\r\n"),
        (b"1723161255.000001\t{}\n", T0 + 1000, b"{}\n"),
        (b"1723161255000000000,[1]\n", T0, b"[1]\n"),
        (b"2024-08-08T23:54:15.000000000Z {}\n", T0, b"{}\n"),
        (b"2024-08-08 23:54:15,000 | {}\n", T0, b"{}\n"),
        (b"1723161255000000000 nonsense\n", T0, b"nonsense\n"),
        (b'{"t":"recv","conn":"1","ts":1723161255.000001,"data":"{\\"a\\":\\"\xc3\xa9\\"}"}',
         T0 + 1000, Received(b'{"a":"\xc3\xa9"}', "1")),
        (b'{"ts":"2024-08-08T23:54:15Z","data":"{}","conn":1,"t":"recv","new":[]}',
         T0, Received(b"{}", "1")),
        (b'{"t":"recv","ts":1723161255,"data":"{}"}', T0, Received(b"{}", "")),
        (b'{"t":"http","conn":"1","ts":1723161255,"url":"x","data":"{}"}',
         T0, Response("x", b"{}")),
        (b'{"t":"connect","conn":"1","ts":1723161255,"addr":"wss://x"}', T0, Opened("1", "wss://x")),
        (b'{"t":"send","conn":"1","ts":1723161255,"data":"{}"}', T0, "recorder's send"),
        (b'{"t":"header","format":2}', 0, "recorder's header"),
        (b'{"t":"?"}', 0, "recorder's note"),
    ],
)  # fmt: skip
def test_lines(
    line: bytes, stamp: int, payload: "bytes | Received | Opened | Response | str"
) -> None:
    assert split(line) == (stamp, payload)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\n", b" 12 {}", b"12 {}", b"-1 {}", b"1.5 {}", b"1" * 20 + b" {}", b"{}", b"[]"),
        *(b"9999999999999999999 {}", b"17231612550 {}", b'{"t":"recv","data":"{}"}', b"{" * 60_000),
        *(b'{"t":"recv","ts":null,"data":"{}"}', b'{"t":"recv","ts":12,"data":"{}"}', b"x {}"),
    ],
)
def test_f44_lines_without_a_time_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"time"):
        split(line)


def test_a_number_of_no_unit_orders_lines_where_it_paces_none() -> None:
    assert split(b"12 {}", paced=False) == (12, b"{}")
    for line in (b"x {}", b"", b"1" * 20 + b" {}"):
        with pytest.raises(ValueError, match="time"):
            split(line, paced=False)


@given(st.binary())
def test_f44_any_line_is_an_entry_or_refused(line: bytes) -> None:
    try:
        stamp, _ = split(line)
    except ValueError:
        return
    assert stamp == 0 or stamp >= 10**9


# --- files ----------------------------------------------------------------------------------------


BODY = MARK + b"".join(b"%d %s\n" % (T0 + k, trade(k)) for k in range(5000))
PACKED = {
    "plain": BODY,
    "gzip": gzip.compress(BODY),
    "zstd": zstandard.compress(BODY),
    "gzip members": gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]),
    "zstd frames": zstandard.compress(BODY[:1000])
    + b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    + zstandard.compress(BODY[1000:]),
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED.keys())
def test_plain_gzip_and_zstd_whatever_their_names_say(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(data)
    assert b"".join(lines(str(path), uncut)) == BODY.removeprefix(MARK)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "gzip members", "zstd frames"])
@pytest.mark.parametrize("damage", ["cut", "changed", "appended"])
def test_f44_what_is_there_is_read_and_the_rest_told(
    tmp_path: Path, kind: str, damage: str
) -> None:
    data, path = PACKED[kind], tmp_path / "capture"
    half = len(data) * 2 // 3
    changed = data[:half] + bytes(byte ^ 0x55 for byte in data[half:])
    path.write_bytes({"cut": data[:half], "changed": changed, "appended": data + b"rest"}[damage])
    told: list[tuple[str, int, str]] = []
    read = list(lines(str(path), lambda *cut: told.append(cut)))
    assert len(told) == 1
    assert told[0][:2] == (str(path), len(read))
    assert told[0][2]
    whole = BODY.removeprefix(MARK).splitlines(keepends=True)
    if damage == "appended":
        assert read == whole
    else:
        good = len(read) if damage == "cut" else 500  # what is changed may be text of a kind, too
        assert 500 < len(read) < 10_000
        assert read[: good - 1] == whole[: good - 1]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04...", "is a zip archive; a capture is plain, gzip or zstd"),
        (bz2.compress(BODY), "is compressed by bzip2"),
        (lzma.compress(BODY), "is compressed by xz"),
        (b"\x04\x22\x4d\x18...", "is compressed by lz4"),
        (MAGIC + b"...", 'is a flight recording (format = "ring")'),
        (BODY.decode().encode("utf-16"), "is UTF-16"),
        (b"\x1f\x8bno gzip and long enough", "compression method"),
        (b"\x28\xb5\x2f\xfdno zstd", "zstd"),
    ],
)
def test_f44_files_of_which_nothing_can_be_read(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "capture.jsonl"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=f"^{re.escape(str(path))}: .*{re.escape(says)}"):
        list(lines(str(path), uncut))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_file_that_ends_before_its_first_line_is_cut_short_too(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pack(BODY)[:12])
    told: list[tuple[str, int, str]] = []
    assert list(lines(str(path), lambda *cut: told.append(cut))) == []
    assert [one[:2] for one in told] == [(str(path), 0)]


def test_blank_lines_are_skipped_by_name(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(b"\n%d {}\n \r\n\n" % T0)
    found = [entry for _, entry in entries(str(path), uncut)]
    assert found == ["blank line", b"{}\n", "blank line", "blank line"]


def test_no_files(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.gz")
    with pytest.raises(CaptureError, match=f"^{re.escape(absent)}: No such file"):
        list(lines(absent, uncut))
    with pytest.raises(CaptureError, match="Is a directory"):
        list(lines(str(tmp_path), uncut))
    with pytest.raises(CaptureError, match="no file matches"):
        expand(str(tmp_path / "*.gz"))


def test_lists_and_globs_name_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.gz", "a.gz", "c[1].gz", "other"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.gz").mkdir()
    (tmp_path / "link.gz").symlink_to(tmp_path / "a.gz")

    def named(*paths: str) -> list[str]:
        found = expand([str(tmp_path / path) for path in paths])
        return [str(Path(path).relative_to(tmp_path)) for path in found]

    assert named("*.gz") == ["a.gz", "b.gz", "c[1].gz"]
    assert named("other", "b.gz", "*.gz") == ["other", "b.gz", "a.gz", "c[1].gz"]
    assert named("c[1].gz") == ["c[1].gz"]
    assert expand(str(tmp_path / "absent")) == [str(tmp_path / "absent")]
    monkeypatch.setattr(files, "FILES_MAX", 2)
    with pytest.raises(CaptureError, match="3 files; at most 2"):
        named("*.gz")


def test_memory_is_bounded_by_the_format_s_blocks(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zst"
    path.write_bytes(zstandard.compress(b"\n" * (200 << 20)))
    tracemalloc.start()
    try:
        for number, _ in enumerate(lines(str(path), uncut)):
            if number == 100_000:
                break
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def enveloped(data: str, **more: object) -> bytes:
    compact = {"separators": (",", ":"), "ensure_ascii": False}
    members = {"t": "recv", "conn": "c", "ts": 1723161255, "data": data, **more}
    return json.dumps(members, **compact).encode()  # type: ignore[arg-type]


def test_a_connection_s_name_is_cut_between_characters() -> None:
    name = "x" + "é" * CONNECTION_CHARACTERS_MAX
    assert split(enveloped("{}", conn=name))[1] == Received(b"{}", name[:-1])


@pytest.mark.parametrize(
    "element",
    [
        '{"price":"1.0"}',
        '{"a":"},{","b":"\\u007d"}',  # what slices end at, within a text
        '{"a":"é\\u00e9\\ud83d\\ude00\U0001f600"}',
        "[[],[]]",  # nothing to end a slice at
    ],
)
@pytest.mark.parametrize("more", [{}, {"new": "1"}])
def test_long_lines_are_the_same_in_slices(element: str, more: dict[str, str]) -> None:
    data = f'{{"x":[{",".join([element] * (6 * SLICE_BYTES // len(element)))}]}}'
    line = enveloped(data, **more)
    assert len(line) > 4 * SLICE_BYTES
    assert split(line) == (T0, Received(data.encode(), "c"))
    for wrong in (line[:-2], line[:-20], line.replace(b'"c"', b'"c', 1)):
        with pytest.raises(ValueError, match="no envelope"):
            split(wrong)


def test_long_lines_are_decoded_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    decode = envelope._decode_text

    def counted(piece: bytes) -> str:
        pieces.append(piece)
        return decode(piece)

    monkeypatch.setattr(envelope, "_decode_text", counted)
    element = '{"side":"bid","price_level":"1"}'
    data = f'{{"x":[{",".join([element] * 5000)}]}}'
    line = enveloped(data)
    assert split(line) == (T0, Received(data.encode(), "c"))
    assert len(pieces) > len(line) // (SLICE_BYTES + 200)
    assert max(map(len, pieces)) < SLICE_BYTES + 200


# --- several files --------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[str]]:
    """Files of lines `<stamp> <payload>`; each payload tells file and number."""

    def write(*stamps: list[int]) -> list[str]:
        paths = [tmp_path / f"{n:04d}.jsonl" for n in range(len(stamps))]
        for n, path in enumerate(paths):
            text = (f'{at or "x"} {{"at":[{n},{k}]}}\n' for k, at in enumerate(stamps[n]))
            path.write_text("".join(text))
        return [str(path) for path in paths]

    return write


def origin(entry: Entry) -> tuple[int, int]:
    _, payload = entry
    text = payload.value.encode() if isinstance(payload, Refusal) else payload
    assert isinstance(text, bytes)
    n, k = json.loads(text[text.index(b"{") : text.rindex(b"}") + 1])["at"]
    return n, k


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 12)), min_size=1, max_size=6))
def test_merged_is_every_line_once_in_the_order_of_time(
    write: Callable[..., list[str]], times: list[list[int]]
) -> None:
    """0 stands for a line without a time, which belongs behind the one before it."""
    paths = write(*([time and T0 + time for time in one] for one in times))
    found = [origin(entry) for entry in merged(paths, uncut)]
    assert sorted(found) == [(n, k) for n, one in enumerate(times) for k in range(len(one))]
    for n in range(len(times)):
        assert [k for file, k in found if file == n] == list(range(len(times[n])))
    # Where each file's times never fall, and all lines have one, the whole is sorted by them.
    ordered = [sorted(filter(None, one)) for one in times]
    paths = write(*([T0 + time for time in one] for one in ordered))
    found = [origin(entry) for entry in merged(paths, uncut)]
    assert found == sorted(found, key=lambda at: (ordered[at[0]][at[1]], at))


def test_files_are_open_only_while_they_play(
    write: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(*([T0 + 10 * n, T0 + 10 * n + 15] for n in range(100)))
    now: list[int] = []
    most = 0

    def counting(path: str, cut: files.Cut) -> Iterator[bytes]:
        nonlocal most
        now.append(1)
        most = max(most, len(now))
        try:
            yield from files.lines(path, cut)
        finally:
            now.pop()

    monkeypatch.setattr(capture, "lines", counting)
    assert len(list(merged(paths, uncut))) == 200
    assert most <= 3
    assert not now
    monkeypatch.setattr(capture, "OPEN_MAX", 1)
    with pytest.raises(CaptureError, match="more than 1 files of one time"):
        list(merged(paths, uncut))
    assert OPEN_MAX == 256


def test_two_collectors_of_one_venue_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    for name in "ab":
        text = b"".join(b"%d %s\n" % (T0 + k * 10, trade(k)) for k in range(100))
        (tmp_path / name).write_bytes(text)
    paths = expand([str(tmp_path / "?")])
    numbers = [binance.decode(entry).first for _, entry in merged(paths, uncut)]  # type: ignore
    assert numbers == [k for k in range(100) for _ in range(2)]


def test_symbols_of_all_files_and_the_first_line_that_will_not_do(tmp_path: Path) -> None:
    for name in ("A", "B", "C"):
        text = b"".join(b"%d %s\n" % (T0, trade(k, name)) for k in range(5))
        (tmp_path / name).write_bytes(b"noise\n" + text)
    paths = [str(tmp_path / name) for name in ("C", "A", "B")]
    assert symbols(paths, VENUES["binance"]) == ["C", "A", "B"]
    (tmp_path / "B").write_bytes(b"17:05:33 {}\n" * 5)
    with pytest.raises(CaptureError, match=r"B: line does not start with a time: .*: 17:05:33"):
        symbols(paths, VENUES["binance"])
    (tmp_path / "B").write_bytes(b"12 {}\n" * 5)
    with pytest.raises(CaptureError, match="no time"):
        symbols(paths, VENUES["binance"])
    assert symbols(paths, VENUES["binance"], paced=False) == ["C", "A"]
    for empty in (b"", b"\n" * 50):
        (tmp_path / "B").write_bytes(empty)
        assert symbols(paths, VENUES["binance"]) == ["C", "A"]
    (tmp_path / "B").write_bytes(b"\n17:05:33 {}\r\n")
    with pytest.raises(CaptureError, match=r": 17:05:33 \{\}$"):
        symbols(paths, VENUES["binance"])
    (tmp_path / "B").write_bytes(b"")
    assert symbols(paths, VENUES["binance"]) == ["C", "A"]
    assert [entry for _, entry in entries(paths[2], uncut)] == []


def test_symbols_of_a_connection_whose_address_is_none(tmp_path: Path) -> None:
    """What it was is not known; the address of another one says that it was spot's."""
    trades = {"s": "A", "S": "Buy", "p": "1", "v": "2", "T": 1723161255000}
    message = json.dumps({"topic": "publicTrade.A", "type": "snapshot", "data": [trades]})
    note = {"t": "connect", "ts": 1723161255}
    written = [
        json.dumps(note | {"conn": "a", "addr": "wss://["}).encode(),
        json.dumps(note | {"conn": "b", "addr": "wss://x/v5/public/spot"}).encode(),
        *(enveloped(message, conn=name) for name in "ab"),
    ]
    path = tmp_path / "x"
    path.write_bytes(b"\n".join(written))
    assert symbols([str(path)], VENUES["bybit"]) == ["A", "A-SPOT"]
