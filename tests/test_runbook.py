"""The runbook covers whatever can call somebody, and its links and commands lead somewhere."""

import re

import pytest
from support import ops_now
from support.runbook import PROMETHEUS, ROOT, RULES, RUNBOOK, anchors, look_up, promtool, sections

from gateway.latency.slo import STATES
from gateway.latency.stalls import KINDS
from gateway.top.now import CLASSES, LEVELS

ALERTS = re.findall(r"- alert: (\w+)", RULES)
RUNBOOK_URLS = re.findall(r"runbook_url: (\S+)", RULES)


def test_headings_are_unique() -> None:
    assert len(anchors()) == len(set(anchors()))


def test_each_alert_names_its_section() -> None:
    for alert, url in zip(ALERTS, RUNBOOK_URLS, strict=True):
        assert url == f"docs/runbook.md#{alert.lower()}"


@pytest.mark.parametrize(
    "anchor",
    [
        *map(str.lower, ALERTS),
        *STATES,
        *(f"stall-{kind}" for kind in KINDS),
        *(f"level-{level}" for level in range(1, len(LEVELS))),
        "class-3-paused",
        *(f"class-{number}-conflated" for number in range(1, len(CLASSES) - 1)),
        "capacity-refusals",
        "503-to-new-clients",
        "closed-with-4008",
    ],
)
def test_what_can_happen_has_a_section(anchor: str) -> None:
    text = sections()[anchor]
    assert "Do:" in text or "](#" in text or anchor == "ok", (
        "it says what to do, or where that is said"
    )


def test_alerts_that_are_no_more_have_no_section() -> None:
    found = {anchor for anchor in anchors() if anchor.startswith("tickgate")}
    assert found == {alert.lower() for alert in ALERTS}


def test_each_alert_says_how_urgent_it_is_as_its_rule_does() -> None:
    severities = re.findall(r"severity: (\w+)", RULES)
    for alert, severity in zip(ALERTS, severities, strict=True):
        assert sections()[alert.lower()].lstrip().startswith(f"{severity.capitalize()}."), alert


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        path, _, anchor = link.partition("#")
        if path:
            assert (ROOT / "docs" / path).exists()
        else:
            assert anchor in anchors(), link


def test_the_readme_knows_it() -> None:
    assert "docs/runbook.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", re.findall(r"top --json \| jq '([^']+)'", RUNBOOK))
def test_what_jq_asks_of_top_is_there(path: str) -> None:
    look_up(ops_now.overloaded(), path)


# --- the rules ------------------------------------------------------------------------------------


def test_prometheus_takes_configuration_and_rules() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_alerts_call_when_they_should_and_only_then() -> None:
    promtool("test", "rules", PROMETHEUS / "tests.yml")


def test_each_alert_is_shown_to_fire() -> None:
    text = (PROMETHEUS / "tests.yml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', text)) == set(ALERTS)
