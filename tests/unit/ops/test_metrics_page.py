"""docs/metrics.md has every metric that is served, with its labels, and no other."""

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.ops.metrics import Metrics
from gateway.ops.objective import Watch

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ENTRY = re.compile(r"`(tickgate_\w+)(?:\{([\w,]+)\})?`")


def test_the_page_lists_what_is_served(site: Any) -> None:
    rows = [row for row in PAGE.read_text().splitlines() if row.startswith("| `")]
    entries = [entry for row in rows for entry in ENTRY.findall(row.split(" | ")[0])]
    assert len({name for name, _ in entries}) == len(entries), "each once"
    listed = {name: set(filter(None, labels.split(","))) for name, labels in entries}
    text = Metrics(site.subject, Watch(site.subject), {"200": 0}).render().decode()
    served = {
        family.name + "_total" * (family.type == "counter"): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in text_string_to_metric_families(text)
    }
    assert listed == served
