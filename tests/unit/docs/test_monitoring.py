"""Do the alert rules, the dashboard and the pages about them hold what Prometheus and this package take?"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.metrics.exposition import COUNTERS, GAUGES
from django_gmf_router.routing import reads
from django_gmf_router.testing.plugin import refuse
from tests.cluster import programs
from tests.unit.docs.pages import ROOT, section, text_of

METRICS = "docs/reference/metrics.md"
SIGNALS = "docs/reference/signals-and-logs.md"
ALERTS = ROOT / "docs/examples/alerts.yml"
DASHBOARD = ROOT / "docs/examples/grafana.json"
SAMPLES = {
    **{f"{metric.name}_total": metric for metric in COUNTERS},
    **{metric.name: metric for metric in GAUGES},
}


def promtool(*args: str) -> str:
    if lacking := programs.missing("promtool"):
        refuse(f"{__name__} needs {lacking}")
    done = subprocess.run(
        [str(programs.find("promtool")), *args], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[str]:
    """The queries of the dashboard, with what Grafana puts in the place of its variables."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "3h").replace("$cluster", ".*")
            assert "$" not in query
            yield query


def test_prometheus_takes_the_alert_rules() -> None:
    rules = len(re.findall(r"- alert:", ALERTS.read_text()))
    assert f"SUCCESS: {rules} rules found" in promtool("check", "rules", str(ALERTS))


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(file))


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def up(node: str, instance: str, values: str) -> dict[str, str]:
    return series("gmf_router_node_up", values, cluster="default", node=node, instance=instance)


WELL = [up(node, instance, "1x60") for node in ("default", "replica_1") for instance in ("web1", "web2")]
ANSWERED = [
    # The primary is down for both web servers, the replica for one of them: that has trouble with its network.
    (
        "GmfPrimaryDown",
        [up("default", "web1", "0x60"), up("default", "web2", "0x60"), *WELL[2:]],
        [{"cluster": "default", "node": "default"}],
    ),
    ("GmfPrimaryDown", [up("replica_1", "web1", "0x60"), up("default", "web1", "1x60")], []),
    (
        "GmfReplicaDown",
        [*WELL[:2], up("replica_1", "web1", "0x60"), up("replica_1", "web2", "0x60")],
        [{"cluster": "default", "node": "replica_1"}],
    ),
    ("GmfReplicaDown", [*WELL[:2], up("replica_1", "web1", "0x60"), up("replica_1", "web2", "1x60")], []),
    ("GmfReplicaDown", [up("default", "web1", "0x60"), up("replica_1", "web1", "1x60")], []),
    (
        "GmfNoReplica",
        [series("gmf_router_decisions_total", "0+10x60", cluster="default", role="primary", reason="no_replica")],
        [{"cluster": "default"}],
    ),
    (
        "GmfNoReplica",
        [series("gmf_router_decisions_total", "0+10x60", cluster="default", role="primary", reason="wrote")],
        [],
    ),
    (
        "GmfReplicaLags",
        [series("gmf_router_node_lag_seconds", "8x60", cluster="default", node="replica_1")],
        [{"cluster": "default", "node": "replica_1"}],
    ),
    (
        "GmfWritesRefused",
        [series("gmf_router_refused_writes_total", "0x55 1 2 3 4 5", cluster="default")],
        [{"cluster": "default"}],
    ),
    ("GmfWritesRefused", [series("gmf_router_refused_writes_total", "7x60", cluster="default")], []),
    (
        "GmfReadsRefused",
        [series("gmf_router_refused_reads_total", "0+1x60", cluster="default")],
        [{"cluster": "default"}],
    ),
    (
        "GmfConflicts",
        [series("gmf_router_moves_total", "0+60x60", cluster="default", node="replica_1", cause="conflict")],
        [{"cluster": "default", "node": "replica_1"}],
    ),
    (
        "GmfTokensRefused",
        [
            series("gmf_router_tokens_total", "0+60x60", cluster="default", outcome="refused"),
            series("gmf_router_tokens_total", "0+60x60", cluster="default", outcome="replica"),
        ],
        [{}],
    ),
    (
        "GmfPrimaryIsRead",
        [
            series("gmf_router_view_reads_total", "0+600x70", view="where", role="primary"),
            series("gmf_router_view_reads_total", "0+200x70", view="where", role="replica"),
        ],
        [{}],
    ),
    (
        "GmfPrimaryIsRead",
        [
            series("gmf_router_view_reads_total", "0+200x70", view="where", role="primary"),
            series("gmf_router_view_reads_total", "0+600x70", view="where", role="replica"),
        ],
        [],
    ),
    ("GmfMetricsMissing", WELL, []),
    ("GmfMetricsMissing", [series("up", "1x60")], [{}]),
]


def test_the_alerts_come_when_they_should_and_else_not(tmp_path: Path) -> None:
    severities = dict(re.findall(r"- alert: (\w+).*?severity: (\w+)", ALERTS.read_text(), re.DOTALL))
    assert {name for name, _, expected in ANSWERED if expected} == set(severities)
    tests = [
        {
            "name": f"{number}: {name}",
            "interval": "1m",
            "input_series": given,
            "promql_expr_test": [
                {
                    "expr": f'count by (cluster, node) (ALERTS{{alertname="{name}", alertstate="firing"}})',
                    "eval_time": "60m",
                    "exp_samples": [{"labels": labels_of(each), "value": 1} for each in expected],
                }
            ],
        }
        for number, (name, given, expected) in enumerate(ANSWERED)
    ]
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))


def labels_of(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


@pytest.mark.parametrize("text", [ALERTS.read_text(), *queries()])
def test_what_is_asked_for_is_exported(text: str) -> None:
    for name, labels in re.findall(r"\b(gmf_router_\w+)(?:\{([^}]*)\})?", text.replace("name: gmf_router", "")):
        assert set(re.findall(r"(\w+)[=!]", labels)) <= set(SAMPLES[name].labels)


def test_every_metric_is_in_the_reference_and_on_the_dashboard() -> None:
    rows = dict(re.findall(r"^\| `(gmf_router_\w+)` \| ([^|]*) \|", text_of(METRICS), re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()} == {
        name: metric.labels for name, metric in SAMPLES.items()
    }
    shown = " ".join(queries())
    assert [name for name in SAMPLES if name not in shown] == []


def test_the_stand_ins_for_views_are_in_the_reference() -> None:
    page = text_of(METRICS)
    words = (reads.OUTSIDE, reads.JOB, reads.UNMATCHED, reads.OTHER, reads.UNROUTED)
    assert [word for word in words if f"`{word}`" not in page] == []


def test_the_reasons_that_are_told_are_in_the_reference() -> None:
    told = section("docs/reference/settings.md", "### `UNEXPECTED_PRIMARY_READS`")
    assert re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE) == [*reads.REMEDIES]


# Logs


def fields_in_the_code() -> set[str]:
    """What stands beside "event" wherever the package logs."""
    found = set()
    for path in (ROOT / "django_gmf_router").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            given = node.value if isinstance(node, ast.keyword) and node.arg == "extra" else node
            if isinstance(given, ast.Dict):
                keys = {key.value for key in given.keys if isinstance(key, ast.Constant)}
                if given is not node or "event" in keys:
                    found |= keys
    return found


def test_every_field_of_the_log_is_documented_and_no_other_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(SIGNALS, "## Fields"), re.MULTILINE)
    assert sorted(rows) == sorted(fields_in_the_code())


def test_no_field_is_one_that_logging_has_itself() -> None:
    import logging

    assert fields_in_the_code().isdisjoint({*vars(logging.makeLogRecord({})), "message", "asctime"})
