"""What a configuration is refused for: key, origin and what was expected."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.address import origin_problem
from gateway.config import Config, assemble, load
from gateway.errors import ConfigurationError, Problem


def problems(
    *sets: str, document: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        assemble(document or {}, environ or {}, sets)
    assert caught.value.exit_code == 78
    return list(caught.value.problems)


def problem(*sets: str, document: dict[str, Any] | None = None) -> Problem:
    (only,) = problems(*sets, document=document)
    return only


@pytest.mark.parametrize("index", ["2", "x", "-1", "99999999", "²"])
def test_an_index_beyond_the_next_is_an_error(index: str) -> None:
    found = problem("feeds.0.type=synthetic", f"feeds.{index}.type=synthetic")
    assert found.key == f"feeds.{index}.type"
    assert "expected at most 1" in found.message


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("listen.prot=1", "listen.prot", "unknown key; did you mean port?"),
        ("lisen.port=1", "lisen", "unknown key; did you mean listen?"),
        ("port=1", "port", "unknown key; did you mean listen.port?"),
        ("ring.workers=1", "ring.workers", "unknown key; did you mean cluster.workers?"),
        ("log.zzz=1", "log.zzz", "unknown key; log has file, format, level"),
        ("listen.port=70000", "listen.port", "found 70000; expected an integer from 0 to 65535"),
        ("listen.port=true", "listen.port", "found true; expected an integer from 0 to 65535"),
        ("listen.port=1.5", "listen.port", "found 1.5; expected an integer from 0 to 65535"),
        ("listen.host=1", "listen.host", "found 1; expected text"),
        ("listen=1", "listen", "found 1; expected a table"),
        ("feeds=1", "feeds", "found 1; expected an array of tables, [[feeds]]"),
        ("feeds.type=udp", "feeds", "found a table; expected an array of tables, [[feeds]]"),
        ("feeds.0=1", "feeds.0", "found 1; expected a table"),
        ("slo.enforce=yes", "slo.enforce", 'found "yes"; expected true or false'),
        ("slo.target_us=2024-01-01", "slo.target_us", "found a date or time (2024-01-01)"),
        ("slo.percentile=nan", "slo.percentile", "found NaN; expected a number above 0 and below"),
        ("slo.percentile=100", "slo.percentile", "found 100; expected a number above 0 and below"),
        ("limits.close_timeout_s=inf", "limits.close_timeout_s", "expected a number above 0 and"),
        ("listen.origins=[1]", "listen.origins.0", "found 1; expected text"),
        ("listen.origins=x", "listen.origins", 'found "x"; expected an array of text'),
        ("ring.topics_max=0x" + "f" * 99, "ring.topics_max", "found an integer beyond 64 bits"),
        ("log.level=\x1b[31m", "log.level", 'found "\\u001b[31m"; expected "debug", '),
        ("listen", "--set", 'found "listen"; expected section.key=value'),
        ("listen..port=1", "--set", "expected section.key=value"),
        ("feeds.0.rate=1", "feeds.0.type", 'missing; expected "synthetic", "replay", "udp"'),
        ("feeds.0.type=udpp", "feeds.0.type", "did you mean udp?"),
        ("feeds.0.type=replay", "feeds.0.path", "missing; expected text that is not empty"),
        ("ring.capacity_bytes=1000000", "ring.capacity_bytes", "a power of two (524288 or 1048"),
        ("listen.port=9464", "ops.port", "found 9464, which is listen.port too"),
        ("limits.requests_per_s=20001", "limits.worker_requests_per_s", "expected at least"),
        ('candles.intervals=["1m", "1m"]', "candles.intervals", "found 1m, 1m; expected each once"),
        ('candles.intervals=["2m"]', "candles.intervals.0", 'found "2m"; expected "15m", "1d",'),
        ("slo.display_target_us=999", "slo.display_target_us", "others, slo.target_us = 1000"),
        ("slo.display_target_us=0", "slo.display_target_us", "found 0; expected"),
    ],
)
def test_one_error(text: str, key: str, message: str) -> None:
    found = problem(text)
    assert found.key == key
    assert message in found.message


def test_a_long_target_alone_is_no_contradiction() -> None:
    """Who has never heard of screens shall not have to."""
    assert load(None, {}, ["slo.target_us=60000000"]).slo.display_target_us == 500_000


def test_a_value_inside_a_value() -> None:
    found = problems("listen.port.x=1", document={"listen": {"port": 5}})
    assert [str(one) for one in found] == ["listen.port.x (--set): listen.port is 5, not a table"]


@pytest.mark.parametrize("more", [[], ["1m", "1m"]])
def test_bad_values_of_an_array_beside_good_ones(more: list[str]) -> None:
    found = problems(document={"candles": {"intervals": ["2m", 5, *more]}})
    bad = ["candles.intervals.0", "candles.intervals.1"]
    assert [one.key for one in found] == bad + ["candles.intervals"] * bool(more)


FEED = {"type": "synthetic"}


@pytest.mark.parametrize(
    ("feeds", "key", "message"),
    [
        ([FEED, FEED], "feeds.1.venue", "which feeds.0 publishes too"),
        ([FEED, {"type": "udp"}], "feeds.1.venue", "which feeds.0 publishes too"),
        (
            [{"type": "udp", "venue": "A"}, {"type": "udp", "venue": "B"}],
            "feeds.1.port",
            "9700 is taken by another udp feed",
        ),
        ([{**FEED, "symbols": 1000}, {"type": "replay", "path": "no"}], "feeds.1.path", "exists"),
        ([{"type": "replay", "path": "long" * 99}], "feeds.0.path", "expected a file that exists"),
        ([{"type": "replay", "path": "nu\0l"}], "feeds.0.path", "no NUL"),
        ([{**FEED, "venue": "sim"}], "feeds.0.venue", "expected text that matches"),
        ([{**FEED, "channels": []}], "feeds.0.channels", "expected a non-empty array of "),
        ([{**FEED, "channels": ["bok"]}], "feeds.0.channels.0", 'found "bok"; expected "bbo"'),
        ([{**FEED, "channels": [["x"]]}], "feeds.0.channels.0", "found an array; expected "),
    ],
)
def test_feeds(feeds: list[dict[str, Any]], key: str, message: str) -> None:
    found = problem(document={"feeds": feeds})
    assert found.key == key
    assert message in found.message


def test_the_same_capture_under_two_venues_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "capture"
    file.touch()
    feeds = [{"type": "replay", "path": str(file), "venue": venue} for venue in ("A", "B")]
    assert len(assemble({"feeds": feeds}, {}).feeds) == 2


def test_limits_that_no_feed_can_meet(tmp_path: Path) -> None:
    file = tmp_path / "capture"
    file.touch()
    replay = {"type": "replay", "path": str(file), "start_after_clients": 11}
    found = problem("limits.max_connections=10", document={"feeds": [replay]})
    assert found.key == "feeds.0.start_after_clients"
    assert problem("ring.topics_max=199", document={"feeds": [FEED]}).key == "ring.topics_max"


def test_an_unknown_table_names_the_override_that_made_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        assemble({}, {"TICKGATE_NOPE__X": "1"}, ["listn.port=3"])
    origins = {one.key: one.origin for one in caught.value.problems}
    assert origins == {"nope": "TICKGATE_NOPE__X", "listn": "--set"}


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "*",
            "null",
            "https://dash.example",
            "http://a.b.c:8080",
            "https://a:*",
            "http://[::1]:*",
        ),
        *("chrome-extension://abcdefgh", "capacitor://localhost", "https://a_b-c.example:8443"),
        *("http://127.0.0.1", "HTTPS://Dash.Example", "http://a:443", "https://a:80", "https://a."),
    ],
)
def test_origins_that_a_browser_may_say(origin: str) -> None:
    assert origin_problem(origin) == ""


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("dash.example", 'did you mean "https://dash.example"?'),
        ("localhost:3000", 'did you mean "https://localhost:3000"?'),
        ("https://dash.example/", 'did you mean "https://dash.example"?'),
        ("https://dash.example/app?x", 'did you mean "https://dash.example"?'),
        ("https://*.example", "a * within a host matches nothing"),
        ("https://*", "a * within a host matches nothing"),
        ("https://dash.example:443", 'leave the usual port out: "https://dash.example"'),
        ("http://dash.example:80", "leave the usual port out"),
        ("https://user@dash.example", "expected scheme://host"),
        ("file:///home/me/page.html", 'say "null"'),
        ("https://b\u00fccher.example", "xn--"),
        ("https://dash.example:", "expected scheme"),
        ("https://dash.example:x", "expected scheme"),
        ("https:// dash.example", "expected scheme"),
        ("https://dash.example\n", "expected scheme"),
        ("", "expected scheme"),
        ("://x", "expected scheme"),
    ],
)
def test_origins_that_no_browser_says(origin: str, words: str) -> None:
    found = problems(f"listen.origins={json.dumps([origin])}")
    assert [one.key for one in found] == ["listen.origins.0"]
    assert words in found[0].message


def test_a_cpu_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2})
    assert assemble({}, {}, ["plane.cpu=2"]).plane.cpu == 2
    (one,) = problems("plane.cpu=1")
    assert str(one) == "plane.cpu (--set): found 1; this process may run on CPUs 0, 2 alone"
    (one,) = problems("plane.cpu=2", "cluster.workers=3")
    assert "the planes of all 3 workers would share it" in one.message


@pytest.mark.parametrize("where", ["/proc/version/x", "~nobody-of-that-name/x", "a\0b"])
def test_a_directory_that_no_recording_gets_into(where: str) -> None:
    (one,) = problems(f"recorder.directory={json.dumps(where)}")
    assert one.key == "recorder.directory"
    assemble({}, {}, [f"recorder.directory={json.dumps(where)}", "recorder.enabled=false"])


def test_a_directory_that_need_not_be_there_yet(tmp_path: Path) -> None:
    assemble({}, {}, [f"recorder.directory={tmp_path}/new/er"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TICKGATE_LISTEN_PORT", "TICKGATE_LISTEN__PORT"),
        ("TICKGATE_PLANE_LOG_BYTES", "TICKGATE_PLANE__LOG_BYTES"),
        ("TICKGATE_LIMITS_MAX_CONNECTIONS", "TICKGATE_LIMITS__MAX_CONNECTIONS"),
        ("TICKGATE_listen_port", "TICKGATE_LISTEN__PORT"),
        ("TICKGATE_LISTEN_PROT", "TICKGATE_LISTEN__PORT"),
        ("TICKGATE_FEEDS_0_RATE", "TICKGATE_FEEDS__0__RATE"),
    ],
)
def test_a_variable_with_one_underscore_is_told_with_its_right_name(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        assemble({}, {name: "1"}, [])
    (one,) = caught.value.problems
    assert one.key == name
    assert one.message.endswith(f"two underscores, {meant}")


def test_variables_that_are_not_ours_to_judge() -> None:
    # What Kubernetes makes of a service with our name, and what our own tests use.
    theirs = (
        "PORT",
        "SERVICE_HOST",
        "SERVICE_PORT_WS",
        "PORT_8765_TCP_ADDR",
        "DATA",
        "REQUIRE_ALL",
    )
    assemble({}, {f"TICKGATE_{name}": "tcp://10.0.0.1:8765" for name in theirs}, [])


def test_a_bad_value_is_not_also_a_contradiction() -> None:
    assert [one.key for one in problems("ops.port=x", "listen.port=9464")] == ["ops.port"]


def test_f61_all_errors_at_once_with_their_origin(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[listen]\nprot = 1\nhost = 5\n[lmits]\n[[feeds]]\ntype = "nope"\n')
    environ = {"TICKGATE_SLO__STAGE": "wire", "TICKGATE_RING__CAPACITY_BYTES": "1000000"}
    began = time.process_time()
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ, ["log.level=loud", "cluster.workers=0"])
    assert time.process_time() - began < 1
    origins = {one.key: one.origin for one in caught.value.problems}
    assert origins == {
        "lmits": str(file),
        "listen.prot": str(file),
        "listen.host": str(file),
        "slo.stage": "TICKGATE_SLO__STAGE",
        "cluster.workers": "--set",
        "log.level": "--set",
        "feeds.0.type": str(file),
        "ring.capacity_bytes": "TICKGATE_RING__CAPACITY_BYTES",
    }
    text = str(caught.value)
    assert text.startswith("the configuration has 8 errors\n")
    assert all(str(one) in text for one in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[listen]\nport =\n", r"not valid TOML: .*line 2"),
        (b"a = 1\na = 2\n", r"not valid TOML: .*line 2"),
        (b"\xff\xfe", "not valid TOML: 'utf-8'"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"#" * ((1 << 20) + 1), "has more than 1048576 characters"),
        (None, "cannot be read: No such file"),
    ],
)
def test_f61_a_file_that_cannot_be_read(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "gateway.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(file, {}, [])
    assert [one.key for one in caught.value.problems] == [str(file)]


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text("aV1_", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "host", "port", "rate", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
TABLES = ["listen", "feeds", "log", "slo", "zzz"]


@given(st.dictionaries(st.sampled_from(TABLES), VALUES))
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(assemble(document, {}, []), Config)


@given(st.lists(st.text(st.sampled_from("abfeds.012=[]{}\"' lint"), max_size=20), max_size=5))
def test_any_set_is_read_or_refused(sets: list[str]) -> None:
    with contextlib.suppress(ConfigurationError):
        load(None, {}, sets)
