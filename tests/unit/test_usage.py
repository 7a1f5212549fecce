"""Who was entitled to what in a month, and how many of whose sessions were open at once."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.table import show
from gateway.audit.usage import SECOND_NS, cells, month_of, usage

NOVEMBER, DECEMBER = month_of("2026-11")
DAY = 86_400 * SECOND_NS


class Files:
    """An audit, written by hand: times are days of November, from 0 on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, day: float, event: str, process: str = "worker-0", **fields: Any) -> None:
        line = {"ts": NOVEMBER + int(day * DAY), "process": process, "event": event} | fields
        with (self.directory / f"{process}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def grant(self, day: float, change: str = "given", product: str = "XNAS", **terms: Any) -> None:
        flags = {"professional": False, "display": True, "delayed": False}
        fields = {"from": terms.pop("since", 0), "to": 0, "user": "ann"} | flags | terms
        self.add(day, "grant", "supervisor", change=change, product=product, **fields)

    def session(self, day: float, until: float, name: str, user: str = "ann", **where: Any) -> None:
        self.add(day, "connect", id=name, user=user, **where)
        self.add(until, "close", id=name, user=user, **where)

    def rows(self) -> list[tuple[str, ...]]:
        """user, product, day of from, day of to, sessions_max, sessions_used."""
        found = usage(self.directory, NOVEMBER, DECEMBER).rows
        days = [[(at - NOVEMBER) / DAY for at in (one.since, one.until)] for one in found]
        shown = [
            (*cells(one)[:5], *map(str, day), *cells(one)[7:])
            for one, day in zip(found, days, strict=True)
        ]
        return [(one[0], one[1], *one[5:]) for one in shown]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_who_was_entitled_counts_whether_they_looked_or_not(files: Files) -> None:
    files.grant(-5)
    assert files.rows() == [("ann", "XNAS", "0.0", "30.0", "0", "0")]


def test_what_was_withdrawn_or_given_in_the_month_is_cut_to_its_days(files: Files) -> None:
    files.grant(-5)
    files.grant(3, "withdrawn")
    files.grant(10, product="XCME")
    files.grant(40, product="LATER")
    assert files.rows() == [
        ("ann", "XCME", "10.0", "30.0", "0", "0"),
        ("ann", "XNAS", "0.0", "3.0", "0", "0"),
    ]


def test_what_ended_before_the_month_is_not_of_it(files: Files) -> None:
    files.grant(-9)
    files.grant(-1, "withdrawn")
    files.grant(-9, product="XCME", to=NOVEMBER - 1)
    files.grant(-9, product="XPAR", to=NOVEMBER + DAY)
    assert files.rows() == [("ann", "XPAR", "0.0", "1.0", "0", "0")]


def test_said_again_at_a_start_it_is_the_same_entitlement(files: Files) -> None:
    for day in (1, 2, 3):
        files.grant(day)
    assert files.rows() == [("ann", "XNAS", "1.0", "30.0", "0", "0")]


def test_other_terms_are_another_row(files: Files) -> None:
    files.grant(1)
    files.grant(5, "changed", professional=True)
    found = usage(files.directory, NOVEMBER, DECEMBER).rows
    assert [cells(one)[2] for one in found] == ["no", "yes"]
    assert files.rows()[0][2:4] == ("1.0", "5.0")
    assert files.rows()[1][2:4] == ("5.0", "30.0")


def test_sessions_at_once_are_counted_over_all_processes(files: Files) -> None:
    files.grant(-5)
    files.session(-1, 1, "a")
    files.session(0.5, 2, "b", process="worker-1")
    files.session(1.5, 3, "c")
    files.session(0.6, 0.7, "d", user="bob")
    assert files.rows()[0][4] == "2"


def test_sessions_count_while_the_entitlement_is_in_force(files: Files) -> None:
    files.session(1, 2, "a")
    files.session(1, 9, "b")
    files.grant(3, since=NOVEMBER + 5 * DAY)
    files.session(12, 13, "c")
    files.session(12, 14, "d")
    files.grant(11, "withdrawn")
    assert files.rows() == [("ann", "XNAS", "5.0", "11.0", "1", "0")]


def test_a_process_that_was_killed_has_closed_its_sessions(files: Files) -> None:
    files.grant(-5)
    files.add(1, "connect", id="a", user="ann")
    files.add(2, "start")
    files.add(3, "connect", id="b", user="ann")
    assert files.rows()[0][4] == "1"


def test_a_user_may_be_known_later(files: Files) -> None:
    files.grant(-5)
    for name in ("a", "b", "c"):
        files.add(1, "connect", id=name, user="")
    files.add(2, "auth", id="a", user="ann", result="ok")
    files.add(2, "auth", id="b", user="ann", result="ok")
    names = {"trade": ["A.XNAS"]}
    files.add(3, "subscribe", id="b", user="ann", symbols=names, count=1)
    files.add(4, "auth", id="b", user="ann", result="ok")
    files.add(4, "auth", id="c", user="ann", result="expired")
    files.add(5, "subscribe", id="b", user="ann", symbols=names, count=1)
    assert files.rows()[0][4:] == ("2", "1")


@pytest.mark.parametrize(
    ("symbol", "used"),
    [("A.XNAS", "1"), ("*.XNAS", "1"), ("*", "1"), ("A*", "1"), ("*.X*", "1"), ("A.XCME", "0")],
)
def test_use_is_an_extra_column(files: Files, symbol: str, used: str) -> None:
    files.grant(-5)
    files.add(1, "connect", id="a", user="ann")
    for day in (2, 3):
        files.add(day, "subscribe", id="a", user="ann", symbols={"trade": [symbol]}, count=1)
    files.session(4, 5, "b")
    assert files.rows()[0][4:] == ("2", used)


def test_what_was_asked_for_before_the_month_is_used_in_it(files: Files) -> None:
    files.grant(-5)
    files.add(-2, "connect", id="a", user="ann")
    files.add(-1, "subscribe", id="a", user="ann", symbols={"trade": ["A.XNAS"]}, count=1)
    files.grant(3, "withdrawn")
    assert files.rows()[0][4:] == ("1", "1")


def test_older_files_come_before_the_newest_and_garbage_is_counted(files: Files) -> None:
    files.grant(-5)
    files.session(0.1, 0.2, "x")
    files.add(0.15, "connect", "worker-1", id="y", user="ann")
    files.add(1, "connect", id="a", user="ann")
    files.add(1.1, "close", "worker-1", id="y", user="ann")
    newest = files.directory / "worker-0.jsonl"
    newest.rename(files.directory / f"worker-0.{NOVEMBER + DAY}.jsonl")
    files.add(2, "close", id="a", user="ann")
    files.add(3, "connect", id="b", user="ann")
    with newest.open("a") as file:
        file.write('{"torn\n[]\n{"ts":"x"}\n' + "[" * 100_000 + "\n")
    found = usage(files.directory, NOVEMBER, DECEMBER)
    assert found.unreadable == 4
    assert found.rows[0].sessions_max == 2


def test_months_are_of_utc_and_of_any_length() -> None:
    assert [(e - b) // DAY for b, e in map(month_of, ("2026-11", "2026-12", "2028-02"))] == [
        30,
        31,
        29,
    ]
    for text in ("2026-13", "2026", "november", ""):
        with pytest.raises(ValueError, match=r"does not match|unconverted"):
            month_of(text)


def test_it_is_shown_as_a_table_and_as_csv(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.add(-9, "start", "supervisor")
    files.grant(-5, user="=1+1")
    out = io.StringIO()
    assert show("2026-11", files.directory, out) == 0
    head, row = out.getvalue().splitlines()
    assert head.split() == [
        *("user", "product", "professional", "display", "delayed"),
        *("from", "to", "sessions_max", "sessions_used"),
    ]
    dates = ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"]
    assert row.split() == ["=1+1", "XNAS", "no", "yes", "no", *dates, "0", "0"]
    assert capsys.readouterr().err == ""
    out = io.StringIO()
    show("2026-11", files.directory, out, as_csv=True)
    assert out.getvalue().splitlines()[1].startswith("'=1+1,XNAS,no,yes,no,"), "no formula"


def test_what_the_rows_may_lack_is_said(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert show("2026-11", files.directory, out) == 1
    assert "there is no audit" in capsys.readouterr().err
    files.add(4, "start")
    files.add(5, "lost", count=7)
    assert show("2026-11", files.directory, out) == 0
    errors = capsys.readouterr().err
    assert "begins at 2026-11-05T00:00:00Z" in errors
    assert "lost 7 lines" in errors
    assert show("2026-10", files.directory, out) == 1
    assert show("soon", files.directory, out) == 2
    assert show("2026-11", files.directory / "nothing", out) == 1
