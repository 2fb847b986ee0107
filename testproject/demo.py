"""How does the demo site come to stand on a real cluster, and go without a trace?

Run as a program, `python -m testproject.demo [--port N]`; `make demo` prepares what it needs. Everything lives in
this one process but the servers, which LocalCluster ends with it. Where PostGIS and GDAL are, the map has parcels.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from django_gmf_router.testing import LocalCluster

HOST = "127.0.0.1"
ADMIN = "admin"
ADMIN_PASSWORD = "demo"
# What the shell may hold for another site.
FOREIGN = ("ALLOWED_HOSTS", "CACHE_URL", "GMF_DB_CHOOSER_MASTER", "GMF_DB_CHOOSER_SLAVE", "PGSCHEMA", "PGSCHEMA_STATIC")


def main() -> None:
    """Bring everything up, serve until Ctrl-C or a signal to end, take everything down."""
    stop_on_signals()
    options = options_asked_for()
    refuse_a_taken_port(options.port)
    try:
        programs = programs_with_postgis() if options.parcels else None
        with standing_cluster(programs) as cluster:
            configure(cluster, has_parcels=programs is not None)
            fill(cluster, parcels=options.parcels if programs else 0)
            serve(options.port)
    except KeyboardInterrupt:
        step("Stopped before the site was up")
    except ImportError as error:
        sys.exit(f"The demo needs {error.name}: run it with make demo, which installs it.")


def stop_on_signals() -> None:
    # A shell starts what runs in the background with SIGINT ignored; SIGHUP is ignored where nohup asks for it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: sys.exit(0))


def options_asked_for() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testproject.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="the port to serve on (default: 8000)")
    parser.add_argument(
        "--parcels", type=int, default=50_000, help="how many, with PostGIS; 0: do without it (default: 50000)"
    )
    options = parser.parse_args()
    if not 0 < options.port < 65536:
        sys.exit(f"Port {options.port} does not exist: run make demo PORT=8001.")
    if options.parcels < 0:
        sys.exit(f"--parcels is {options.parcels}: give a number from 0 on.")
    return options


def refuse_a_taken_port(port: int) -> None:
    """Stop before anything is started, where the server could not start in the end."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            other = port + 1 if 1024 <= port < 65535 else 8001
            sys.exit(f"Port {port} cannot be used ({error.strerror}): run make demo PORT={other}.")


def programs_with_postgis() -> Path | None:
    """Return where PostgreSQL's programs with PostGIS are; None, and say what to install, where something lacks."""
    from testproject import postgis  # noqa: PLC0415  Django may not be installed

    if lacking := postgis.missing_for_the_map():
        step(f"The map shows places; for parcels too the demo needs {lacking}")
        return None
    return postgis.bin_dir()


@contextmanager
def standing_cluster(programs: Path | None) -> Iterator[LocalCluster]:
    """Give a primary with two replicas; SystemExit with one line where they cannot stand."""
    from django_gmf_router.testing import LocalCluster, LocalClusterError  # noqa: PLC0415  may not be installed

    step("Starting a PostgreSQL primary and two replicas")
    try:
        cluster = LocalCluster(replicas=2, bin_dir=programs).up()
    except LocalClusterError as error:
        sys.exit(f"The cluster does not stand: {error}")
    try:
        yield cluster
    finally:
        # A second Ctrl-C would leave the rest to the cluster's watchdog.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        step("Stopping the cluster")
        cluster.down()
        step("Nothing is left running")


def configure(cluster: LocalCluster, *, has_parcels: bool) -> None:
    """Set the site's environment to the cluster, as it would be set on a server."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    if has_parcels:
        # Only a superuser may do it.
        cluster.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
    urls = [cluster.url(node) for node in cluster.nodes]
    primary, *replicas = [url.replace("postgres://", "postgis://") for url in urls] if has_parcels else urls
    os.environ.update(
        DJANGO_SETTINGS_MODULE="testproject.demo_settings",
        DEBUG="1",
        SECRET_KEY=secrets.token_urlsafe(50),
        DATABASE_URL=primary,
        DATABASE_REPLICA_URLS=",".join(replicas),
        GMF_DEMO_CLUSTER=str(cluster.directory),
    )
    for name in cluster.nodes:
        print(f"  {name}: {HOST}:{cluster.port(name)}")


def fill(cluster: LocalCluster, *, parcels: int) -> None:
    """Make the tables, what is on the map and the admin's account, and wait until the replicas have them."""
    import django  # noqa: PLC0415  the settings stand only now
    from django.core.management import call_command  # noqa: PLC0415

    django.setup()
    step("Making the tables")
    call_command("migrate", verbosity=0)
    step("Loading the sample places")
    call_command("load_places")
    if parcels:
        step("Loading the sample parcels")
        call_command("load_parcels", count=parcels)
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = ADMIN_PASSWORD
    call_command("createsuperuser", interactive=False, username=ADMIN, email="", verbosity=0)
    cluster.wait_for_replay(timeout_seconds=60)


def serve(port: int) -> None:
    """Serve until a signal comes, in threads, and say what to open."""
    from django.core.management import call_command  # noqa: PLC0415

    from testproject.outages.views import replicas  # noqa: PLC0415  it needs the cluster

    site = f"http://{HOST}:{port}"
    step("Serving the site; Ctrl-C stops everything")
    print(f"  {site}/              the map: which node served what, and why")
    print(f"  {site}/places?bbox=6.5,46.4,6.8,46.6")
    print(f"  {site}/gmf/status    how the nodes are, for the staff")
    print(f"  {site}/admin/        log in as {ADMIN}, password {ADMIN_PASSWORD}", flush=True)
    try:
        call_command("runserver", f"{HOST}:{port}", use_reloader=False)
    finally:
        replicas().end()


def step(line: str) -> None:
    # Nobody may listen any more, and what comes after the line has to be done all the same.
    with suppress(OSError):
        print(f"* {line}", flush=True)


if __name__ == "__main__":
    main()
