"""Dashboard, rules and runbook ask for nothing that a running gateway does not have."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import ops_now
from support.runbook import ROOT, RULES, RUNBOOK, look_up, promtool
from support.serving import Serving, serving, until

DASHBOARD: dict[str, Any] = json.loads((ROOT / "configs/grafana/tickgate.json").read_text())
OF_A_SCRAPE = {"job", "instance"}
VARIABLES = {"$__rate_interval": "1m", "$__interval": "1m", "$job": ".*", "$instance": ".*"}


def expressions() -> list[str]:
    """Every query of the dashboard."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    asked += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    return asked + [each.get("definition", "") for each in DASHBOARD["templating"]["list"]]


def queries() -> str:
    """All that is asked of Prometheus, without comments."""
    rules = "\n".join(line for line in RULES.splitlines() if not line.lstrip().startswith("#"))
    return "\n".join([rules, *expressions()])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    feed = ("feeds.0.type=synthetic", "feeds.0.venue=SIM", "feeds.0.symbols=2", "feeds.0.rate=100")
    with serving(tmp_path_factory.mktemp("monitoring") / "log", *feed) as one:
        yield one


@pytest.fixture(scope="module")
def labels(gateway: Serving) -> dict[str, set[str]]:
    """Names of the labels of each sample in /metrics."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(gateway.get("/metrics")[1].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_asked_for_exists(labels: dict[str, set[str]]) -> None:
    asked = set(re.findall(r"\btickgate_\w+", queries()))
    assert len(asked) > 40
    assert not asked - labels.keys()


def test_every_label_asked_for_exists(labels: dict[str, set[str]]) -> None:
    selected = re.findall(r"\b(tickgate_\w+)\{([^}]*)\}", queries())
    grouped = re.findall(r"\b(?:by|without) \(([^)]*)\) \((?:\w+\()?(tickgate_\w+)", queries())
    asked = [(name, re.findall(r"(\w+) *[=!]~?", text)) for name, text in selected]
    asked += [(name, re.findall(r"\w+", text)) for text, name in grouped]
    assert len(asked) > 80
    for name, wanted in asked:
        unknown = set(wanted) - labels[name] - OF_A_SCRAPE
        assert not unknown, (name, unknown)


def top(gateway: Serving, *words: str) -> str:
    """What `tickgate top` prints of the gateway."""
    command = [sys.executable, "-P", "-m", "gateway.cli", "top", "--url", gateway.ops, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def test_top_shows_the_gateway(gateway: Serving) -> None:
    until(lambda: "synthetic:SIM" in top(gateway))
    first, *lines = top(gateway, "--once").splitlines()
    assert first.split()[:3] == ["tickgate", gateway.status()["version"], "ready"]
    for beginning in ("IDLE", "budget 100.0 % left", "total", "0 trades", "worker-0", "clients 0"):
        assert any(line.startswith(beginning) for line in lines), beginning


def test_documents_made_up_for_tests_have_no_field_that_the_gateway_lacks(gateway: Serving) -> None:
    made_up = ops_now.now()
    until(lambda: json.loads(top(gateway, "--json"))["point"])  # there is none in the first second
    real = json.loads(top(gateway, "--json"))
    assert not made_up.keys() - real.keys()
    for name in ("slo", "point"):
        assert not made_up[name].keys() - real[name].keys(), name
    for name in ("controller", "feeds", "processes"):
        assert not made_up[name][0].keys() - real[name][0].keys(), name
    made_up_class, real_class = (one["slo"]["classes"][0] for one in (made_up, real))
    assert not made_up_class.keys() - real_class.keys()


def test_what_the_runbook_asks_of_statusz_is_there(gateway: Serving) -> None:
    paths = re.findall(r"statusz \| jq '([^']+)'", RUNBOOK)
    assert paths
    until(lambda: json.loads(top(gateway, "--json"))["point"])  # there is none in the first second
    for path in paths:
        look_up(gateway.status(), path)


def test_the_dashboard_s_queries_are_prometheus_language(tmp_path: Path) -> None:
    rules = []
    for number, query in enumerate(expressions()):
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        if query and not query.startswith("label_values"):
            rules.append({"record": f"query_{number}", "expr": query})
    file = tmp_path / "rules.json"  # which is YAML too
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboard_is_one() -> None:
    panels = DASHBOARD["panels"]
    assert DASHBOARD["schemaVersion"] >= 39
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == {"row", "stat", "timeseries"}
    assert all(panel.get("datasource", {}).get("uid") == "${datasource}" for panel in panels
               if panel["type"] != "row")  # fmt: skip
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_percentiles_are_of_merged_buckets() -> None:
    assert not re.search(r"avg[^\n]*quantile|avg[^\n]*latency", queries())
    quantiles = re.findall(r"histogram_quantile\([\d.]+,\s*(\w+)", queries())
    assert quantiles
    assert set(quantiles) == {"sum"}
