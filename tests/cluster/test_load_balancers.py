"""Do the load balancers of docs/examples/health send requests to web servers that can answer them?"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import HOST, free_ports
from django_gmf_router.testing.plugin import refuse
from tests.cluster import programs
from tests.cluster.sites import ROOT, Site, environment, served
from tests.ha.examples import variables
from tests.waiting import until

EXAMPLES = ROOT / "docs" / "examples" / "health"
INTERVAL = 0.3
ROUTER = {"HEALTH": {"INTERVAL": INTERVAL, "TIMEOUT": 1.0}}
PATIENCE_SECONDS = 20.0
CHECKS_SECONDS = 3.0
"""In so long HAProxy takes out a web server that fails its checks: `fall` 2, `inter` 1s."""
SURROUNDING = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/web.conf;
}}
"""

Balancer = Callable[[Site, Site], AbstractContextManager[str]]


def env(cluster: LocalCluster, *, is_cut_off: bool = False) -> dict[str, str]:
    """Return the environment of a site, or of one that reaches no database."""
    found = environment(cluster, router=ROUTER)
    if is_cut_off:
        databases = json.loads(found["GMF_TEST_DATABASES"])
        for entry, port in zip(databases.values(), free_ports(len(databases)), strict=True):
            entry["PORT"] = port
        found["GMF_TEST_DATABASES"] = json.dumps(databases)
    return found


@pytest.fixture
def webs(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[tuple[Site, Site]]:
    """A web server, and one that is cut off from the databases; each knows how it stands."""
    with (
        served("gunicorn", env(migrated), workers=1) as near,
        served("gunicorn", env(migrated, is_cut_off=True), workers=1) as cut_off,
    ):
        until(lambda: health(near) == (200, "ok"), PATIENCE_SECONDS)
        until(lambda: health(cut_off) == (503, "down"), PATIENCE_SECONDS)
        yield near, cut_off


def health(site: Site) -> tuple[int, str]:
    answer = httpx.get(f"{site.url}/gmf/health", timeout=30)
    return answer.status_code, answer.json()["status"]


def statuses(url: str, count: int = 20, method: str = "GET") -> Counter[int]:
    return Counter(httpx.request(method, f"{url}/where", timeout=30).status_code for _ in range(count))


def filled(name: str, values: Mapping[str, str]) -> str:
    """Return an example with the tests' addresses; each that is replaced has to be there."""
    text = (EXAMPLES / name).read_text()
    for shown, value in values.items():
        assert shown in text
        text = text.replace(shown, value)
    return text


@pytest.fixture
def haproxy(tmp_path: Path) -> Balancer:
    require("haproxy")

    @contextmanager
    def balancing(first: Site, second: Site) -> Iterator[str]:
        (port,) = free_ports(1)
        own = {"WEB_LISTEN": f"{HOST}:{port}", "WEB_1": address(first), "WEB_2": address(second), "SITE": "localhost"}
        assert own.keys() == variables("haproxy.env", EXAMPLES).keys()
        command = [str(programs.find("haproxy")), "-db", "-f", str(EXAMPLES / "haproxy.cfg")]
        setting = ["env", *(f"{name}={value}" for name, value in own.items())]
        with programs.running([*setting, *command], port, tmp_path / "haproxy.log"):
            yield f"http://{HOST}:{port}"

    return balancing


@pytest.fixture
def nginx(tmp_path: Path) -> Balancer:
    require("nginx")

    @contextmanager
    def balancing(first: Site, second: Site) -> Iterator[str]:
        (port,) = free_ports(1)
        addresses = {
            "10.0.0.40:80": f"{HOST}:{port}",
            "10.0.0.41:8000": address(first),
            "10.0.0.42:8000": address(second),
        }
        (tmp_path / "web.conf").write_text(filled("nginx.conf", addresses))
        file = tmp_path / "nginx.conf"
        file.write_text(SURROUNDING.format(directory=tmp_path))
        command = [str(programs.find("nginx")), "-e", str(tmp_path / "error.log"), "-c", str(file)]
        with programs.running(command, port, tmp_path / "nginx.log"):
            yield f"http://{HOST}:{port}"

    return balancing


def require(program: str) -> None:
    if lacking := programs.missing(program):
        refuse(f"{__name__} needs {lacking}")


def address(site: Site) -> str:
    return f"{site.host}:{site.port}"


def test_each_leaves_out_who_is_cut_off_and_nobody_for_a_dead_primary(
    webs: tuple[Site, Site], gmf_cluster: LocalCluster, haproxy: Balancer, nginx: Balancer
) -> None:
    near, _ = webs
    with haproxy(*webs) as by_check, nginx(*webs) as by_trying:
        assert statuses(by_trying) == {200: 20}
        # In turns: who answered 503 stays in, and no POST is sent twice.
        assert statuses(by_trying, method="POST") == {200: 10, 503: 10}
        until(lambda: statuses(by_check) == {200: 20}, PATIENCE_SECONDS, "HAProxy has left it out")
        assert statuses(by_check, method="POST") == {200: 20}
        gmf_cluster.kill("primary")
        until(lambda: health(near) == (200, "degraded"), PATIENCE_SECONDS)
        since, pages = time.monotonic(), Counter[int]()
        while time.monotonic() - since < CHECKS_SECONDS:
            for url in (by_check, by_trying):
                assert statuses(url, method="PUT", count=2) == {503: 2}
                pages += statuses(url)
        assert set(pages) == {200}
        for node in gmf_cluster.nodes[1:]:
            gmf_cluster.kill(node)
        until(lambda: "No server is available" in httpx.get(f"{by_check}/where").text, PATIENCE_SECONDS)
