"""Which web servers is the site served by, and how is each started?"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
BIN = Path(sysconfig.get_path("scripts"))
SITE_PACKAGES = sysconfig.get_path("purelib")
SBIN = "/usr/sbin"
MODULES = Path("/usr/lib/apache2/modules")
# Debian's own Python serves the site then, with the packages of this one.
BORROWED = {"PYTHONPATH": SITE_PACKAGES}
WARM = {"GMF_TEST_WARM": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A row of the matrix: a web server, and what is told to it."""

    name: str
    command: str
    """Its words; {address}, {port}, {directory} and {bin} are filled in."""
    workers: int = 2
    """How many processes serve."""
    pages: tuple[str, ...] = ("/page",)
    max_age: int = 60
    """CONN_MAX_AGE; Django's manual: no persistent connections under ASGI."""
    env: Mapping[str, str] = field(default_factory=dict)
    watches: bool = True
    """Whether the health monitor runs while no request does."""
    package: str | None = None
    """The Python package that holds the server."""
    debian: str | None = None
    """Debian's package that does."""

    def missing(self) -> str | None:
        """Return what this row lacks on this machine and how to get it, None where there is nothing."""
        if self.package is not None and next(distributions(name=self.package), None) is None:
            return f"the Python package {self.package}: pip install {self.package}"
        if self.debian == "uwsgi-plugin-python3":
            uwsgi = shutil.which("uwsgi", path="/usr/bin")
            found = _version(uwsgi, "--plugin", "python3", "--python-version") if uwsgi else ""
            return _other_python(self.debian, found)
        if self.debian is not None:
            module = next(MODULES.glob("mod_wsgi.so-*"), None) if shutil.which("apache2", path=SBIN) else None
            return _other_python(f"apache2 {self.debian}", module.name.rpartition("-")[2] if module else "")
        return None


def _version(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _other_python(packages: str, found: str) -> str | None:
    if not found:
        return f"{packages}: apt-get install --no-install-recommends {packages}"
    if found.split(".")[:2] != PYTHON.split("."):
        return f"{packages} of Python {PYTHON}; here it is of {found}"
    return None


APPLICATIONS = "tests.servers.applications"
_GUNICORN = f"{sys.executable} -m gunicorn -b {{address}} -w 2 --keep-alive 60 --log-level warning"
_UVICORN = (
    f"{sys.executable} -m uvicorn --port {{port}} --workers 2 --timeout-keep-alive 60 --log-level warning"
    f" {APPLICATIONS}:asgi"
)
_UWSGI_OPTIONS = (
    "--http-socket {address} --master --processes 2 --need-app --die-on-term --disable-logging"
    f" --module {APPLICATIONS}:wsgi"
)
_UWSGI = f"{{bin}}/uwsgi {_UWSGI_OPTIONS}"
_DEBIANS_UWSGI = f"/usr/bin/uwsgi --plugin python3 {_UWSGI_OPTIONS}"
_APACHE = f"{SBIN}/apache2 -f {{directory}}/apache.conf -D FOREGROUND"


def _gunicorn(name: str, options: str, **different: Any) -> Server:
    return Server(name=name, command=f"{_GUNICORN} {options} {APPLICATIONS}:wsgi", package="gunicorn", **different)


def _uwsgi(name: str, options: str = "", **different: Any) -> Server:
    return Server(name=name, command=f"{_UWSGI} {options}", package="uwsgi", **different)


SERVERS = (
    _gunicorn("gunicorn-sync", "-k sync"),
    _gunicorn("gunicorn-gthread", "-k gthread --threads 4"),
    _gunicorn("gunicorn-preload-warm", "-k gthread --threads 4 --preload", env=WARM),
    _gunicorn("gunicorn-gevent", "-k gevent"),
    _gunicorn("gunicorn-gevent-preload-warm", "-k gevent --preload -c python:tests.servers.gevent_first", env=WARM),
    Server(name="uvicorn-sync", command=_UVICORN, max_age=0, package="uvicorn"),
    Server(name="uvicorn-async", command=_UVICORN, pages=("/page-async",), max_age=0, package="uvicorn"),
    Server(
        name="hypercorn",
        command=f"{sys.executable} -m hypercorn -b {{address}} -w 2 --keep-alive 60 {APPLICATIONS}:asgi",
        pages=("/page", "/page-async"),
        max_age=0,
        package="hypercorn",
    ),
    Server(
        name="daphne",
        command=f"{sys.executable} -m daphne -b 127.0.0.1 -p {{port}} -v 0 {APPLICATIONS}:asgi",
        workers=1,
        pages=("/page", "/page-async"),
        max_age=0,
        package="daphne",
    ),
    Server(
        name="waitress",
        command=f"{sys.executable} -m waitress --listen={{address}} --threads=4 {APPLICATIONS}:wsgi",
        workers=1,
        package="waitress",
    ),
    _uwsgi("uwsgi"),
    _uwsgi("uwsgi-lazy", "--lazy-apps"),
    _uwsgi("uwsgi-threads", "--threads 4"),
    # uWSGI forks in C: without --py-call-osafterfork Python's hooks are not called.
    _uwsgi("uwsgi-warm", "--threads 4", env=WARM),
    Server(
        name="uwsgi-debian",
        command=_DEBIANS_UWSGI,
        env=BORROWED,
        watches=False,
        debian="uwsgi-plugin-python3",
    ),
    Server(
        name="uwsgi-debian-threads",
        command=f"{_DEBIANS_UWSGI} --enable-threads",
        env=BORROWED,
        debian="uwsgi-plugin-python3",
    ),
    Server(
        name="mod_wsgi-daemon",
        command=f"{_APACHE} -D daemon",
        env=BORROWED,
        debian="libapache2-mod-wsgi-py3",
    ),
    Server(name="mod_wsgi-embedded", command=_APACHE, env=BORROWED, debian="libapache2-mod-wsgi-py3"),
    Server(
        name="runserver",
        command=f"{sys.executable} -m django runserver {{address}} --noreload",
        workers=1,
    ),
    Server(name="runserver-reload", command=f"{sys.executable} -m django runserver {{address}}", workers=1),
)

APACHE = f"""
ServerRoot {{directory}}
ServerName localhost
DefaultRuntimeDir {{directory}}
PidFile {{directory}}/apache.pid
ErrorLog {{directory}}/log
Listen {{address}}
KeepAlive Off
LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so
LoadModule authz_core_module {MODULES}/mod_authz_core.so
LoadModule wsgi_module {MODULES}/mod_wsgi.so
User {{user}}
Group {{group}}
<IfDefine daemon>
WSGIDaemonProcess site processes=2 threads=4
WSGIProcessGroup site
</IfDefine>
<IfDefine !daemon>
StartServers 2
MaxRequestWorkers 2
</IfDefine>
WSGIScriptAlias / {Path(__file__).with_name("applications.py")}
<Directory {Path(__file__).parent}>
Require all granted
</Directory>
"""
"""mod_wsgi: with `-D daemon` two processes of four threads, else within two of Apache's own, of one thread each."""
