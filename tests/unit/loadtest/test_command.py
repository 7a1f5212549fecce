"""`tickgate bench` on the command line: usage, and what its options mean."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.results import sample_result

from gateway.cli import main
from gateway.loadtest import command
from gateway.loadtest.command import How, Load, UsageError

COMMAND = [sys.executable, "-P", "-m", "gateway.cli", "bench"]
URL = ("--url", "ws://127.0.0.1:1/")
SCENARIO = """
thresholds = ["gaps==0"]
[[groups]]
name = "all"
clients = 10
"""


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("compare",), ("peers",)])
def test_help(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, "--help")
    assert done.returncode == 0
    assert f"Usage: tickgate {' '.join(('bench', *arguments))}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--nope"], "--nope"),
        (["--clients", "0"], "--clients"),
        (["--clients", "x"], "--clients"),
        (["--channel", "book"], "--channel"),
        (["--encoding", "xml"], "--encoding"),
        (["--encoding", "sbe", "--stamp", "json:data.0.E"], "--stamp"),
        ([*URL, "--encoding", "sbe", "--stamp", "offset:16"], "--stamp"),
        (["--warmup", "-1"], "--warmup"),
        (["--duration", "0"], "--duration"),
        (["--rate", "0"], "--rate"),
        (["--processes", "65"], "--processes"),
        (["--processes", "3", "--clients", "2"], "--processes"),
        (["no_such_scenario"], "no_such_scenario"),
        (["--symbols", "A.SIM"], "--symbols"),
        (["--subscribe", "x"], "--subscribe"),
        (["--feed", "127.0.0.1:9"], "--feed"),
        (["--pid", "1"], "--pid"),
        ([*URL, "--feed", "9"], "--feed"),
        ([*URL, "--rate", "5"], "--rate"),
        ([*URL, "--feed", "127.0.0.1:9", "--symbols", "A.SIM"], "--symbols"),
        ([*URL, "--threshold", "cpu_per_delivery<2*floor"], "the floor is of ticks"),
        ([*URL, "--symbols", "A.SIM", "--subscribe", "x"], "--subscribe"),
        (["--url", "127.0.0.1:5"], "--url"),
        (["--header", "nope"], "--header"),
        (["--stamp", "xml:a"], "--stamp"),
        (["--server-cpus", "x"], "--server-cpus"),
        (["--client-cpus", "3-"], "--client-cpus"),
        (["--threshold", "p99<1"], "a unit is missing"),
        (["--threshold", "nobody.gaps==0"], "nobody"),
        (["--json", "/no/such/directory/a"], "--json"),
        (["--html", "/"], "--html"),
        (["compare", "a.json"], "B"),
        (["compare", "a.json", "b.json"], "a.json"),
        (["peers", "apache"], "apache"),
        (["peers", "--rounds", "0"], "--rounds"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_named(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert said.out == ""


def test_a_server_that_is_not_there_is_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    done = run("--url", f"ws://127.0.0.1:{port}/v1", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"tickgate: cannot connect to ws://127.0.0.1:{port}/v1: Connection refused\n"
    )


def test_help_has_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    assert "99 a threshold failed" in " ".join(capsys.readouterr().out.split())


def test_an_interrupt_at_any_moment_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_settings", interrupted)
    monkeypatch.setattr(command, "cpus", interrupted)
    for arguments in ([], ["peers"]):
        assert main(["bench", *arguments]) == 1
        assert "interrupted before anything was measured" in capsys.readouterr().err


def test_with_a_feed_and_no_scenario_the_default_load_is_sent() -> None:
    found = command._test(None, Load(url="ws://127.0.0.1:1/"), How(feed="127.0.0.1:9"))
    assert (found.source.via, found.url, found.clients) == ("udp", "ws://127.0.0.1:1/", 100)
    assert command._test(None, Load(url="ws://127.0.0.1:1/"), How()).source.via == "none"


def test_help_and_version_load_nothing_heavy() -> None:
    code = "import sys\nfrom gateway.cli import main\nmain(sys.argv[1:])\nprint(*sys.modules)"
    for arguments in (["--help"], ["bench", "--help"]):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert not {"numpy", "gateway._native", "plotly"} & set(done.stdout.split())


# --- what options mean ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tickgate", ("tickgate", b"")),
        ("json:data.0.E", ("json", b"data.0.E")),
        ('after:"ts":', ("after", b'"ts":')),
        ("after:a:b", ("after", b"a:b")),
        ("offset:16", ("offset", 16)),
    ],
)
def test_stamps(text: str, found: object) -> None:
    assert command.stamp(text) == found


@pytest.mark.parametrize("text", ["", "json", "json:", "after:", "offset:-1", "offset:x", "tick:"])
def test_wrong_stamps(text: str) -> None:
    with pytest.raises(UsageError, match="--stamp"):
        command.stamp(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ()), ("0", (0,)), ("2,0", (0, 2)), ("0-2,5", (0, 1, 2, 5)), ("1,1", (1,))],
)
def test_cpus(text: str, found: tuple[int, ...]) -> None:
    assert command.cpus("--x", text) == found


@pytest.mark.parametrize("text", ["a", "-1", "1-", "1,,2", "0x1", "99999"])
def test_wrong_cpus(text: str) -> None:
    with pytest.raises(UsageError, match="--x: found"):
        command.cpus("--x", text)


def test_without_anything_a_small_load_on_a_gateway_of_its_own() -> None:
    test = command._test(None, Load(), How())
    assert (test.name, test.url, test.clients, test.source.via) == ("default", "", 100, "udp")


def test_with_a_url_alone_it_only_listens() -> None:
    load = Load(
        url="ws://127.0.0.1:5/v1",
        clients=7,
        symbols=["A*", "B.X"],
        channel="bbo",
        duration=3.0,
        threshold=["p99<5ms"],
    )
    test = command._test(None, load, How())
    assert (test.source.via, test.url, test.clients) == ("none", "ws://127.0.0.1:5/v1", 7)
    assert test.groups[0].symbols == ["A*", "B.X"]
    assert (test.groups[0].channel, test.duration_s) == ("bbo", 3.0)
    assert test.thresholds == ["p99<5ms"]


def test_options_win_over_the_scenario_and_thresholds_add_up(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO)
    load = Load(clients=4, rate=50.0, warmup=0.5, threshold=["reach==1"])
    test = command._test(str(file), load, How())
    assert (test.name, test.clients, test.source.rate, test.warmup_s) == ("mine", 4, 50.0, 0.5)
    assert test.thresholds == ["gaps==0", "reach==1"]


def test_lists_come_in_one_go_or_one_by_one(tmp_path: Path) -> None:
    for arguments in (
        ["--threshold", "p99<1xs", "gaps==0"],
        ["--threshold", "gaps==0", "--threshold", "p99<1xs"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert "p99<1xs" in done.stderr


# --- comparing ------------------------------------------------------------------------------------


def test_compare_reads_files_and_directories(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.json").write_bytes(sample_result().to_json())
    done = run("compare", "a", "b/1.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "p99" in done.stdout
    (tmp_path / "a" / "1.json").write_text("{}")
    done = run("compare", "a", "b", cwd=tmp_path)
    assert done.returncode == 2
    assert "a/1.json: not a result of a load test" in done.stderr
