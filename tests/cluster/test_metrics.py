"""Do the counters of all processes add up to the requests that were made, and does a Prometheus get them?"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import HOST, free_ports
from django_gmf_router.testing.plugin import refuse
from tests.cluster import programs
from tests.cluster.sites import Site, environment, manage, served
from tests.unit.docs.pages import blocks, section
from tests.waiting import until

PAGE = "docs/how-to/metrics-and-alerts.md"
TARGETS = '["web1:8000", "web2:8000"]'
# The default is a minute.
SCRAPED_OFTEN = "global:\n  scrape_interval: 1s\n"
ARRIVES_SECONDS = 15
DECISIONS = "gmf_router_decisions_total"
REQUESTS = 200
THREADS = 8
REFUSED = 20
READS = "gmf_router_view_reads_total"
Samples = dict[tuple[str, ...], float]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the processes add up."""
    path = tmp_path / "processes"
    path.mkdir()
    return path


# uWSGI forks in C, and does not call Python's hooks.
@pytest.fixture(params=["preload", "uwsgi"])
def site(
    request: pytest.FixtureRequest, migrated: LocalCluster, gmf_cluster: LocalCluster, folder: Path
) -> Iterator[Site]:
    """The site in two processes, which forked from one that had loaded it."""
    env = {
        **environment(migrated, router={"HEALTH": {"INTERVAL": 0.2}}),
        "DJANGO_SETTINGS_MODULE": "tests.cluster.metrics_settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    with served(request.param, env) as running:
        yield running
    gmf_cluster.heal()


@pytest.fixture
def prometheus(site: Site, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that asks the site under the configuration of the page; its URL."""
    if lacking := programs.missing("prometheus"):
        refuse(f"{__name__} needs {lacking}")
    (shown,) = (block.text for block in blocks(PAGE, "yaml") if TARGETS in block.text)
    config = tmp_path / "prometheus.yml"
    config.write_text(SCRAPED_OFTEN + shown.replace(TARGETS, json.dumps([f"{site.host}:{site.port}"])))
    (port,) = free_ports(1)
    command = [
        str(programs.find("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    with programs.running(command, port, tmp_path / "prometheus.log"):
        yield f"http://{HOST}:{port}"


def stored(prometheus: str, query: str) -> dict[str, float]:
    """Return what Prometheus answers, by the one label that the query leaves."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30)
    # It listens before it is ready, and answers 503 until then.
    series = answer.json()["data"]["result"] if answer.is_success else []
    return {label: float(each["value"][1]) for each in series for label in each["metric"].values()}


def scraped(site: Site) -> Counter[tuple[str, ...]]:
    """Return each sample by its name and the values of its labels, in the order of their names."""
    if find_spec("prometheus_client") is None:
        refuse("the Python package prometheus-client is needed: pip install prometheus-client")
    from prometheus_client import parser

    answer = httpx.get(f"{site.url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    return Counter(
        {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in parser.text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
    )


def total(site: Site, name: str) -> float:
    return sum(value for (found, *_), value in scraped(site).items() if found == name)


def decided(found: Counter[tuple[str, ...]]) -> Counter[str]:
    """Return the decisions by their reason."""
    decisions: Counter[str] = Counter()
    for (name, *labels), value in found.items():
        if name == DECISIONS:
            decisions[labels[2]] += int(value)
    return decisions


def ask(site: Site, times: int) -> Counter[str]:
    """Ask from several threads, each request on a new connection."""
    kinds = Counter({"GET": times // 2, "POST": times // 4, "write": times - times // 2 - times // 4})

    def one(kind: str) -> int:
        if kind == "POST":
            return httpx.post(f"{site.url}/where", timeout=30).status_code
        return httpx.get(f"{site.url}/{'where' if kind == 'GET' else 'write'}", timeout=30).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(one, kinds.elements())) == {200}
    return kinds


def processes(folder: Path) -> set[int]:
    return {int(pid) for file in folder.iterdir() for pid in re.findall(r"counter_(\d+)\.db", file.name)}


def test_the_counters_of_two_processes_are_the_requests_that_were_made(site: Site, folder: Path) -> None:
    asked = ask(site, REQUESTS)
    while len(processes(folder)) < 2:  # one may be faster than the other
        asked += ask(site, 4)
    found = scraped(site)

    assert decided(found) == {
        "read_method": asked["GET"] + asked["write"],
        "write_method": asked["POST"],
        "wrote": asked["write"],
    }
    reads = {
        (view, role): found["gmf_router_view_reads_total", role, view]
        for view in ("where", "write")
        for role in ("primary", "replica")
    }
    # Three looks, or one before it writes and one after it. What the token asks the primary is no read of the view's.
    assert reads == {
        ("where", "primary"): 3 * asked["POST"],
        ("where", "replica"): 3 * asked["GET"],
        ("write", "primary"): asked["write"],
        ("write", "replica"): asked["write"],
    }
    assert found["gmf_router_view_primary_reads_total", "wrote", "write"] == asked["write"]
    # A query by hand in a request that may write counts as a write.
    assert found["gmf_router_tokens_total", "default", "given"] == asked["write"] + asked["POST"]
    assert found["gmf_router_refused_writes_total", "default"] == 0

    # What a process has counted stays when it is gone, and another one tells how the nodes are.
    os.kill(min(processes(folder)), signal.SIGKILL)
    after = scraped(site)
    assert {key: value for key, value in after.items() if key[0].endswith("_total")} == {
        key: value for key, value in found.items() if key[0].endswith("_total")
    }
    assert {key[2]: value for key, value in after.items() if key[0] == "gmf_router_node_up"} == {
        "default": 1,
        "replica_1": 1,
        "replica_2": 1,
    }


def test_prometheus_gets_what_the_site_has_counted(site: Site, prometheus: str) -> None:
    instance = f"{site.host}:{site.port}"
    until(lambda: stored(prometheus, "sum by (instance) (up)") == {instance: 1}, ARRIVES_SECONDS, "the site is up")
    ask(site, REQUESTS // 10)
    counted = decided(scraped(site))
    assert counted["read_method"]
    query = f"sum by (reason) ({DECISIONS})"
    until(
        lambda: stored(prometheus, query) == counted,
        ARRIVES_SECONDS,
        lambda: f"{counted} is stored: {stored(prometheus, query)}",
    )
    until(
        lambda: (
            stored(prometheus, "sum by (node) (gmf_router_node_up)") == {"default": 1, "replica_1": 1, "replica_2": 1}
        ),
        ARRIVES_SECONDS,
        "all nodes are up",
    )


def test_tokens_outages_and_refused_writes_are_counted(site: Site, gmf_cluster: LocalCluster, folder: Path) -> None:
    with httpx.Client(timeout=30) as client:
        token = client.post(f"{site.url}/save").cookies["gmf_token"]
        client.get(f"{site.url}/one-read")
    httpx.get(f"{site.url}/one-read", headers={"Cookie": "gmf_token=forged"}, timeout=30)
    found = scraped(site)
    outcomes = {key[2]: value for key, value in found.items() if key[0] == "gmf_router_tokens_total"}
    assert (outcomes.pop("given"), outcomes.pop("refused")) == (1, 1)
    assert sum(outcomes.values()) == 1  # caught up by then, or not
    # What a replica is asked for the token is no read of the view's.
    assert sum(value for key, value in found.items() if key[0] == READS and "one-read" in key) == 2

    for node, alias in (("replica_2", "replica_2"), ("primary", "default")):
        gmf_cluster.kill(node)
        key = ("gmf_router_node_up", "default", alias)
        until(lambda key=key: scraped(site)[key] == 0, what=f"{key} is 0")
    for _ in range(REFUSED):
        assert httpx.post(f"{site.url}/save", timeout=30).status_code == 503
    # Such a request comes to no statement, and is told all the same; of each process the last one may be on its way.
    told = processes(folder)
    for pid in told:
        os.kill(pid, signal.SIGKILL)
    kept = total(site, "gmf_router_refused_writes_total")
    assert REFUSED - len(told) <= kept <= REFUSED

    assert_log_is_json(site, gmf_cluster, token)


# The process ends as one that is killed: it tells nothing at its exit.
JOB = """
import os
from django.contrib.auth.models import Group
from django_gmf_router import unit_of_work
with unit_of_work():
    Group.objects.exists()
os._exit(0)
"""


def test_a_job_is_told_when_it_has_ended(site: Site, migrated: LocalCluster, folder: Path) -> None:
    done = manage({**environment(migrated), "PROMETHEUS_MULTIPROC_DIR": str(folder)}, "shell", "-c", JOB)
    assert done.returncode == 0, done.stderr
    assert scraped(site)[READS, "replica", "unit_of_work"] == 1


def assert_log_is_json(site: Site, cluster: LocalCluster, token: str) -> None:
    """Each line is one object, with the fields that the reference names, and holds no secret."""
    documented = set(
        re.findall(r"^\| `(\w+)` \|", section("docs/reference/signals-and-logs.md", "## Fields"), re.MULTILINE)
    )
    lines = [json.loads(line) for line in site.log.read_text().splitlines() if line.startswith("{")]
    ours = [line for line in lines if line["name"] == "django_gmf_router"]
    assert {"node_down", "unavailable"} <= {line["event"] for line in ours}
    assert {field for line in ours for field in line} <= {*documented, "time", "level", "name", "message", "exc_info"}
    text = site.log.read_text()
    assert not [secret for secret in (cluster.databases()["default"]["PASSWORD"], token) if secret in text]
