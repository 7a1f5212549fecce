"""The page of a result: it holds everything, asks nobody for anything, and obeys no name."""

import json
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from support.results import sample_groups, sample_latency, sample_result

from gateway.loadtest.charts import charts
from gateway.loadtest.report import report
from gateway.loadtest.result import ClientLoad, Clock, Connections, Latency, Refusal, Result
from gateway.loadtest.thresholds import judge, parse, verdict_line

EXPRESSIONS = ("p99<1s", "p50<1us", "bbo.p99<900ms", "reach>=99.9%", "cpu_per_delivery<=1.5*floor")
HOSTILE = (
    "<img/src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "<!--<script>",
    "</title></style><b>&lt;i&gt;",
    "\u2028\u2029\x00\x1b[2J",
)


class Page(HTMLParser):
    """A page taken apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        elif not (self._open and self._open[-1] == "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def charts(self) -> Any:
        """What the data script has."""
        scripts = [attrs for tag, attrs in self.tags if tag == "script"]
        (at,) = (k for k, attrs in enumerate(scripts) if attrs.get("id") == "charts")
        assert scripts[at] == {"type": "application/json", "id": "charts"}
        return json.loads(self.scripts[at])


def judged(*expressions: str, **changed: Any) -> Result:
    return judge(sample_result(**changed), [parse(each) for each in expressions])


@pytest.fixture(scope="module")
def result() -> Result:
    return judged(*EXPRESSIONS)


@pytest.fixture(scope="module")
def page(result: Result) -> Page:
    return Page(report(result))


def named(name: str) -> Result:
    """A result in which everything that somebody may name is called so."""
    run = judged("p99<1s", "p99<1us")
    thresholds = [
        msgspec.structs.replace(each, expression=f"{name}.p99<1s", shown=name)
        for each in run.thresholds
    ]
    return msgspec.structs.replace(
        run,
        name=name,
        url=f"ws://127.0.0.1/{name}",
        started=name,
        groups={f"{name}{key}": group for key, group in run.groups.items()},
        stages={f"{name}{key}": latency for key, latency in run.stages.items()},
        scenario={name: [name]},
        thresholds=thresholds,
        environment=msgspec.structs.replace(
            run.environment, cpu=name, os=name, governor=name, libraries={name: name}
        ),
    )


# --- nothing from elsewhere -----------------------------------------------------------------------


def test_nothing_is_asked_of_anybody(page: Page) -> None:
    attributes = {name for _, attrs in page.tags for name in attrs}
    assert attributes == {"lang", "charset", "name", "content", "http-equiv", "class", "id", "type"}
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "form", "a", "video"}


def test_the_policy_allows_only_what_the_page_brings(page: Page) -> None:
    (policy,) = (
        attrs["content"]
        for tag, attrs in page.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) <= {"'none'", "'unsafe-inline'", "data:"}
    assert "unsafe-eval" not in policy


def test_the_style_asks_for_nothing(result: Result) -> None:
    style = report(result).partition("<style>")[2].partition("</style>")[0]
    assert "--verdict" in style
    assert "url(" not in style
    assert "@import" not in style


# --- names stay text ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name: str) -> None:
    plain, hostile = Page(report(named("plain"))), Page(report(named(name)))
    assert hostile.tags == plain.tags
    assert len(hostile.scripts) == len(plain.scripts) == 3
    assert [hostile.scripts[0], hostile.scripts[2]] == [plain.scripts[0], plain.scripts[2]]
    shown = hostile.text.replace("\ufffd", "\0")
    assert shown.count(name) >= 10


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_in_the_charts_is_no_markup(name: str) -> None:
    for chart in Page(report(named(name))).charts:
        text = json.dumps(chart, ensure_ascii=False)
        assert "<img" not in text
        assert "<script" not in text
        assert "<svg" not in text
        assert "<b" not in text


def test_the_data_script_cannot_end_itself(result: Result) -> None:
    hostile = report(named("</script><!--<script>"))
    data = hostile.partition('id="charts">')[2].partition("</script>")[0]
    assert "<" not in data
    assert Page(report(result)).charts == json.loads(msgspec.json.encode(charts(result)))


# --- everything is there --------------------------------------------------------------------------


def test_every_threshold_and_group_is_there(result: Result, page: Page) -> None:
    for each in result.thresholds:
        assert f"{'✓' if each.ok else '✗'}\xa0 {each.expression}" in page.words
        assert each.shown in page.words
    assert {each.ok for each in result.thresholds} == {True, False}
    for name, group in result.groups.items():
        assert (name if group.measured else f"{name} (load only)") in page.words


def test_every_distribution_and_part_is_there(result: Result, page: Page) -> None:
    for words in ("age", "age at the kernel", "client's own", "wire", "server", "delivery"):
        assert words in page.words
    for words in ("handshake", "skew", "source late", "own clients", "losses", "libraries"):
        assert words in page.words
    assert result.url in page.text
    assert result.environment.cpu in page.text
    assert "numpy 2.3.0" in page.text
    assert '"rate": 200' in page.text


def test_each_chart_has_its_place(page: Page) -> None:
    places = [attrs["id"] for tag, attrs in page.tags if tag == "div" and "id" in attrs]
    ids = [chart["id"] for chart in page.charts]
    assert sorted(places) == sorted(ids)  # type: ignore[type-var]
    assert len(set(places)) == len(places) == 6


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (judged("p99<1s"), "pass"),
        (judged("p99<1us"), "fail"),
        (
            judged("p99<1us", client=ClientLoad(processes=1, busy=1, run_delay=0, turn_max_us=1)),
            "invalid",
        ),
    ],
)
def test_the_verdict_is_the_heading(run: Result, verdict: str) -> None:
    page = Page(report(run))
    assert verdict_line(run) in page.text
    assert page.text.lstrip().startswith(f"{verdict.upper()}: sample")
    assert ("body", {"class": verdict}) in page.tags


def test_a_result_of_nothing_has_a_page_without_charts() -> None:
    none = Latency(p50_us=0, p90_us=0, p99_us=0, p999_us=0, max_us=0, mean_us=0, count=0, per_s=0.0)
    bare = Result(
        name="nothing",
        started="2026-11-21T10:00:00Z",
        duration_s=6.0,
        url="ws://127.0.0.1:1/",
        clients=5,
        latency=none,
        delivered=0,
        connections=Connections(opened=0, refused=5),
        client=ClientLoad(processes=1, busy=0, run_delay=0, turn_max_us=0),
        environment=sample_result().environment,
    )
    page = Page(report(judge(bare, [])))
    assert page.charts == []
    assert [attrs for tag, attrs in page.tags if tag == "div" and "id" in attrs] == []
    assert "FAIL: only 0 of 5 clients connected; nothing was delivered in the window" in page.text
    assert "gaps unknown, conflated unknown, duplicates unknown" in page.text
    assert "Thresholds" not in page.words


def test_what_was_not_measured_is_a_dash() -> None:
    group = msgspec.structs.replace(sample_groups()["churn"], latency=None, conflated=None)
    page = Page(report(judged(groups={"only": group})))
    at = page.words.index("only (load only)")
    row = [word for word in page.words[at : at + 11] if word.strip()]
    assert row == ["only (load only)", "20", "900", "-", "-", "-", "75", "0", "-", "-", "-"]


def test_two_clocks_are_told() -> None:
    ping = report(judged(clock=Clock(method="ping", offset_ns=1_500_000, error_ns=20_000)))
    assert "1.50 ms ahead, give or take 20.0 µs" in ping
    assert "not related" in report(judged(clock=Clock(method="none")))
    assert "clocks" not in Page(report(judged(stages={"wire": sample_latency(9)}))).words


def test_all_that_was_refused_is_named_and_stays_text(page: Page) -> None:
    refusals = [
        Refusal(kind="close", code=f"<b>{n}", message="<script>x</script>", count=n)
        for n in range(40)
    ]
    shown = Page(report(judged(refusals=refusals)))
    assert "What the server refused" in shown.words
    assert [word for word in shown.words if word.startswith("<b>")] == [
        f"<b>{n}" for n in range(40)
    ]
    assert shown.words.count("<script>x</script>") == 40
    assert len(shown.scripts) == len(page.scripts)
    assert "What the server refused" not in page.words
