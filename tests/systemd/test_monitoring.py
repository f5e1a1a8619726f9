"""Alerts and dashboard: they name what the daemon really exposes, and fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from appliance.metrics import Metrics

FOLDER = Path(__file__).resolve().parents[2] / "systemd" / "monitoring"
RULES, DASHBOARD = FOLDER / "breathhold.rules.yml", FOLDER / "breathhold.dashboard.json"
_METRIC = re.compile(r"\b((?:breathhold|process)_\w+)(?:\{([^}]*)\})?")
#: Labels that Prometheus itself puts on what it scrapes, and that of a histogram.
_EVERYWHERE = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def exposed() -> dict[str, set[str]]:
    """Every name in the daemon's /metrics with its labels."""
    metrics = Metrics()
    labels: dict[str, set[str]] = {}
    for value in vars(metrics).values():
        if isinstance(value, (Counter, Gauge, Histogram)):
            for family in value.describe():
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
                for suffix in suffixes.get(family.type, [""]):
                    labels[family.name + suffix] = {*value._labelnames}
    for family in metrics.registry.collect():
        labels.update({sample.name: {*sample.labels} for sample in family.samples})
    return labels


def test_every_metric_and_label_named_is_exposed() -> None:
    known = exposed()
    named = [match for text in expressions() for match in _METRIC.finditer(text)]
    assert len(named) > 30
    for match in named:
        name, matchers = match.groups()
        assert name in known, f"{name} is not exposed"
        for label in re.findall(r"(\w+)\s*[=!]", matchers or ""):
            assert label in known[name] | _EVERYWHERE, f"{name} has no label {label}"


def test_panels_neither_share_a_number_nor_overlap() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    places: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & places, panel["title"]
        assert max(x for x, _ in own) < 24
        places |= own


def test_alerts_say_how_bad_and_what_to_look_at() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert "$labels.instance" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian: apt install prometheus)")
    scenarios = Path(__file__).with_name("alerts.yml")
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(scenarios)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
