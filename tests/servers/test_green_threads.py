"""Is a process of gevent or eventlet refused where its driver would block it, and does it work where not?"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import HOST, free_ports
from django_gmf_router.testing.plugin import refuse
from tests.cluster.sites import DRIVERS, ROOT, environment
from tests.servers.matrix import SERVERS

# Whoever still uses eventlet is told so at each import.
EVENTLET = "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()"
GEVENT = "import gevent.monkey; gevent.monkey.patch_all()"
PSYCOGREEN = f"{GEVENT}; import psycogreen.gevent; psycogreen.gevent.patch_psycopg()"
LOAD = "from django.core.wsgi import get_wsgi_application; get_wsgi_application()"
REGISTRY = "import django; django.setup(); from django_gmf_router import clusters; clusters.registry()"
ENSURE = "clusters.registry().clusters[0].monitor.ensure()"
GUNICORN_GEVENT = next(server for server in SERVERS if server.name == "gunicorn-gevent")
WORKER_BOOT_ERROR = 3
"""How gunicorn ends where its workers cannot load the site: gunicorn/arbiter.py."""
INSTEAD = "Serve the site with threads, as gunicorn's gthread does, or with gevent and psycopg 3."
FORK = """
import os
from tests.waiting import until

monitor = clusters.registry().clusters[0].monitor
monitor.ensure()
until(lambda: all(node.sampled_at for node in monitor.snapshot.values()))
rounds, asked = monitor._threads._rounds, []
begin = rounds.begin
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
rounds.begin = lambda now: asked.append(now) or begin(now)
monitor.ensure()
known = monitor.snapshot["replica_1"].sampled_at
until(lambda: monitor.snapshot["replica_1"].sampled_at > known + 2)
assert not asked, asked
"""
ASYNC_VIEW = """
import django
django.setup()
from asgiref.sync import async_to_sync
from tests.books.models import Author

async def view():
    await Author.objects.acount()

async_to_sync(view)()
"""
POLL = """
import socket
from django_gmf_router.postgres.sockets import is_gone
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
server.sendall(b"words")
assert not is_gone(client)
server.sendall(b"last words")
server.close()
assert is_gone(client)
"""


def run(code: str, cluster: LocalCluster, driver: str, **database: str) -> subprocess.CompletedProcess[str]:
    return ended([sys.executable, "-c", code], cluster, driver, **database)


def ended(
    command: Sequence[str], cluster: LocalCluster, driver: str, **database: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    for package in ("gevent", "eventlet", "psycogreen"):
        if package in " ".join(command) and find_spec(package) is None:
            refuse(f"the Python package {package} is needed: pip install {package}")
    return subprocess.run(
        command,
        env=environment(cluster, driver, **database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("engine", ["django.db.backends.postgresql", "django_gmf_router.backends.postgresql"])
def test_an_async_view_is_refused_under_gevent_by_django_itself(gmf_cluster: LocalCluster, engine: str) -> None:
    done = run(f"{GEVENT}\n{ASYNC_VIEW}", gmf_cluster, "psycopg", engine=engine)
    assert "SynchronousOnlyOperation: You cannot call this from an async context" in done.stderr


@pytest.mark.parametrize("before", ["", GEVENT, f"import django_gmf_router.postgres.sockets; {GEVENT}"])
def test_a_session_that_its_server_ended_is_gone_with_its_last_words_unread(
    gmf_cluster: LocalCluster, before: str
) -> None:
    done = run(f"{before}\n{POLL}", gmf_cluster, "psycopg")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("patch", "driver", "words"),
    [
        *((EVENTLET, driver, f"eventlet is not supported: {driver} blocks it. {INSTEAD}") for driver in DRIVERS),
        *(
            (patch, "psycopg2", f"psycopg2 blocks gevent while a server hangs, with psycogreen too. {INSTEAD}")
            for patch in (GEVENT, PSYCOGREEN)
        ),
    ],
)
def test_a_driver_that_blocks_is_refused_when_the_server_loads_the_site(
    gmf_cluster: LocalCluster, patch: str, driver: str, words: str
) -> None:
    done = run(f"{patch}; {LOAD}", gmf_cluster, driver)
    assert done.stderr.splitlines()[-1] == f"django.core.exceptions.ImproperlyConfigured: {words}", done.stderr


def test_gunicorn_with_gevent_and_psycopg2_ends_at_its_start_and_says_what_to_use(gmf_cluster: LocalCluster) -> None:
    if lacking := GUNICORN_GEVENT.missing():
        refuse(f"{GUNICORN_GEVENT.name} needs {lacking}")
    (port,) = free_ports(1)
    # One worker: of two that end at once the second one ends gunicorn's own end, with another code.
    command = [*shlex.split(GUNICORN_GEVENT.command.format(address=f"{HOST}:{port}")), "-w", "1"]
    done = ended(command, gmf_cluster, "psycopg2")
    assert done.returncode == WORKER_BOOT_ERROR, done.stderr
    words = f"psycopg2 blocks gevent while a server hangs, with psycogreen too. {INSTEAD}"
    assert f"django.core.exceptions.ImproperlyConfigured: {words}\n" in done.stderr, done.stderr


def test_a_process_that_is_patched_after_psycopg_was_imported_is_refused_with_its_first_read(
    gmf_cluster: LocalCluster,
) -> None:
    done = run(f"{REGISTRY}; {GEVENT}; {ENSURE}", gmf_cluster, "psycopg")
    assert "ImproperlyConfigured: gevent patched this process after psycopg was imported" in done.stderr


@pytest.mark.parametrize(("patch", "driver"), [(GEVENT, "psycopg"), ("", "psycopg"), ("", "psycopg2")])
def test_what_gives_way_is_not_refused(gmf_cluster: LocalCluster, patch: str, driver: str) -> None:
    done = run(f"{patch}\n{LOAD}\n{REGISTRY}; {ENSURE}", gmf_cluster, driver)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_site_without_postgresql_is_not_refused(gmf_cluster: LocalCluster) -> None:
    code = f"import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n{EVENTLET}\n{LOAD}"
    done = run(code, gmf_cluster, "psycopg")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_monitor_of_a_forked_process_does_not_go_on_in_its_child(gmf_cluster: LocalCluster) -> None:
    done = run(f"{GEVENT}; {REGISTRY}\n{FORK}", gmf_cluster, "psycopg")
    assert (done.returncode, done.stderr) == (0, "")
