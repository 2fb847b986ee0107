"""How do etcd, three Patroni nodes, HAProxy and Redis run on one machine, from docs/examples/ha?"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import psycopg

from django_gmf_router.testing.machine import HOST, find_programs, free_ports, server_account, within_reach
from django_gmf_router.testing.processes import send, wait_until_gone
from tests.ha.engines import patroni, program
from tests.ha.examples import FOLDER, filled
from tests.ha.keeper import Keeper, processes_in
from tests.waiting import until

NODES = ("node1", "node2", "node3")
# Patroni's ttl and what an election takes on a busy machine.
ELECTION_SECONDS = 60
START_SECONDS = 90
SITE = "gmf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A database machine: the ports of its PostgreSQL and of its Patroni."""

    name: str
    port: int
    rest: int


class Machines:
    """All the machines but the web servers, from `with` to its end."""

    def __init__(self) -> None:
        ports = iter(free_ports(12))
        self.nodes = {name: Node(name=name, port=next(ports), rest=next(ports)) for name in NODES}
        self.primary_port, self.replicas_port, self.redis_port = next(ports), next(ports), next(ports)
        self._etcd_ports = next(ports), next(ports)
        self.passwords = {name: secrets.token_hex(16) for name in ("superuser", "replication", "rewind", SITE)}
        self._account = server_account()
        self.folder = Path(tempfile.mkdtemp(prefix="gmf-ha-"))
        self.folder.chmod(0o755)
        self._keeper = Keeper(self.folder)
        self._bin_dir = within_reach(find_programs().directory, self._account, self.folder / "postgresql")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Machines:
        try:
            self._start_all()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    # What Patroni says

    def role(self, name: str) -> str | None:
        """Return the role of a node as its Patroni tells it now, "primary" or "replica"; None where it is not up."""
        found = self._ask(name, "/patroni")
        return found["role"] if found and found.get("state") == "running" else None

    def leader(self) -> str | None:
        """Return the node whose Patroni answers 200 to HAProxy's question."""
        return next((name for name in NODES if self._ask(name, "/primary", only_ok=True) is not None), None)

    def wait_for_leader(self, *, other_than: str | None = None) -> str:
        """Wait for a leader, and answer it."""

        def leader() -> str | None:
            return found if (found := self.leader()) != other_than else None

        return until(leader, ELECTION_SECONDS, lambda: f"a leader other than {other_than}:\n{self.logs()}")

    def wait_until_whole(self) -> None:
        """Wait until there is a leader with two replicas that stream from it, one of them synchronous if need be."""
        until(self._is_whole, START_SECONDS, lambda: f"three nodes that are up: {self._members()}\n{self.logs()}")

    def synchronous(self, *, other_than: str | None = None) -> str:
        """Wait for a replica that has every write that was acknowledged, and answer it."""

        def names() -> set[str]:
            return {member["name"] for member in self._members() if member["role"] == "sync_standby"} - {other_than}

        return until(names, ELECTION_SECONDS, lambda: f"a synchronous replica: {self._members()}").pop()

    def set(self, **dynamic: object) -> None:
        """Change the dynamic configuration, as `patronictl edit-config` does."""
        leader = self.wait_for_leader()
        request = urllib.request.Request(
            f"http://{HOST}:{self.nodes[leader].rest}/config",
            data=json.dumps(dynamic).encode(),
            headers={"Content-Type": "application/json"},
            method="PATCH",
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    def switch_over(self, leader: str, candidate: str) -> None:
        """Make a replica the leader, as `patronictl switchover` does."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.nodes[leader].rest}/switchover",
            data=json.dumps({"leader": leader, "candidate": candidate}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=ELECTION_SECONDS) as response:
            assert response.status == 200

    # What happens to them

    def kill(self, name: str) -> None:
        """Kill a machine: its Patroni, its PostgreSQL and all that belongs to them, at once."""
        found = processes_in(self._folder(name))
        # Its Patroni first: it must not see its server die, and give the leader's key back.
        patroni = self._running.pop(name)
        patroni.kill()
        send(found, signal.SIGKILL)
        patroni.wait()
        wait_until_gone(found, 10)

    def kill_patroni(self, name: str) -> None:
        """Kill a node's Patroni alone; its PostgreSQL runs on."""
        patroni = self._running.pop(name)
        patroni.kill()
        patroni.wait()

    def freeze(self, name: str) -> None:
        """Stop a process (SIGSTOP), as a machine that hangs."""
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self._running[name].send_signal(signal.SIGCONT)

    def start(self, name: str) -> None:
        """Start a node's Patroni, which starts PostgreSQL."""
        node = self.nodes[name]
        folder = self._folder(name)
        variables = filled(
            "patroni.env",
            {
                "PATRONI_NAME": name,
                "PATRONI_ETCD3_HOSTS": f"{HOST}:{self._etcd_ports[0]}",
                "PATRONI_RESTAPI_LISTEN": f"{HOST}:{node.rest}",
                "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{HOST}:{node.rest}",
                "PATRONI_POSTGRESQL_LISTEN": f"{HOST}:{node.port}",
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{HOST}:{node.port}",
                "PATRONI_POSTGRESQL_BIN_DIR": self._bin_dir,
                "PATRONI_POSTGRESQL_DATA_DIR": folder / "data",
                "PATRONI_POSTGRESQL_PGPASS": folder / "pgpass",
                "PATRONI_SUPERUSER_USERNAME": "postgres",
                "PATRONI_SUPERUSER_PASSWORD": self.passwords["superuser"],
                "PATRONI_REPLICATION_USERNAME": "replicator",
                "PATRONI_REPLICATION_PASSWORD": self.passwords["replication"],
                "PATRONI_REWIND_USERNAME": "rewinder",
                "PATRONI_REWIND_PASSWORD": self.passwords["rewind"],
            },
        )
        self._run(name, [*patroni(), str(self._example("patroni.yml"))], variables)

    def walsenders(self, name: str) -> list[psutil.Process]:
        """Return the processes that send a primary's log to its replicas."""
        rows = self.query(name, "SELECT pid FROM pg_stat_replication")
        return [psutil.Process(int(pid)) for (pid,) in rows]

    def query(self, name: str, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL on a node as the superuser."""
        with psycopg.connect(
            host=HOST,
            port=self.nodes[name].port,
            user="postgres",
            password=self.passwords["superuser"],
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def logs(self) -> str:
        """Return the ends of what the machines logged."""
        return "\n".join(
            f"--- {log.stem}\n{log.read_text(errors='replace')[-3000:]}" for log in sorted(self.folder.glob("*.log"))
        )

    # Inside

    def _start_all(self) -> None:
        client, peer = self._etcd_ports
        etcd = {
            "ETCD_NAME": "etcd1",
            "ETCD_DATA_DIR": self._folder("etcd") / "data",
            "ETCD_LISTEN_CLIENT_URLS": f"http://{HOST}:{client}",
            "ETCD_ADVERTISE_CLIENT_URLS": f"http://{HOST}:{client}",
            "ETCD_LISTEN_PEER_URLS": f"http://{HOST}:{peer}",
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"http://{HOST}:{peer}",
            "ETCD_INITIAL_CLUSTER": f"etcd1=http://{HOST}:{peer}",
        }
        self._run("etcd", [str(program("etcd"))], filled("etcd.env", etcd))
        redis = [str(program("redis-server")), str(self._example("redis.conf"))]
        self._run("redis", [*redis, "--bind", HOST, "--port", str(self.redis_port)], {})
        for name in NODES:
            self.start(name)
        nodes = {
            key: value
            for number, node in enumerate(self.nodes.values(), start=1)
            for key, value in ((f"NODE_{number}", f"{HOST}:{node.port}"), (f"NODE_{number}_REST_PORT", node.rest))
        }
        ports = {"PRIMARY_PORT": self.primary_port, "REPLICAS_PORT": self.replicas_port}
        self.run_haproxy("haproxy", {"BIND": HOST, **ports, **nodes})
        self.wait_until_whole()
        self._make_site()

    def run_haproxy(self, name: str, values: Mapping[str, object]) -> None:
        """Start HAProxy on the example of this name."""
        command = [str(program("haproxy")), "-db", "-f", str(self._example(f"{name}.cfg"))]
        self._run(name, command, filled(f"{name}.env", values))

    def _make_site(self) -> None:
        """Create the role and the database of the site as the reader does, through HAProxy."""
        variables = {"PGPASSWORD": self.passwords["superuser"], **self.site_variables()}
        target = ["-h", HOST, "-p", str(self.primary_port), "-U", "postgres", "-d", "postgres", "-w"]
        command = [str(self._bin_dir / "psql"), "-X", "-v", "ON_ERROR_STOP=1", *target, "-f"]
        subprocess.run(
            [*command, str(FOLDER / "site.sql")], env={**os.environ, **variables}, check=True, capture_output=True
        )

    def site_variables(self) -> dict[str, str]:
        return {"SITE_DATABASE": SITE, "SITE_USER": SITE, "SITE_PASSWORD": self.passwords[SITE]}

    def _run(self, name: str, command: list[str], variables: Mapping[str, str]) -> None:
        kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if key in os.environ}
        account = self._account
        whom = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.is_other else {}
        with (self.folder / f"{name}.log").open("ab") as output:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**kept, "HOME": str(self._folder(name)), "LC_ALL": "C", **variables},
                cwd=self._folder(name),
                start_new_session=True,
                umask=0o077,
                **whom,
            )

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            self._account.give(folder)
        return folder

    def _example(self, name: str) -> Path:
        """Return a copy of an example that the servers' user can read: a checkout may be below /root."""
        copy = self.folder / name
        copy.write_bytes((FOLDER / name).read_bytes())
        copy.chmod(0o644)
        return copy

    def _ask(self, name: str, path: str, *, only_ok: bool = False) -> Any:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.nodes[name].rest}{path}", timeout=5) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return None if only_ok else json.load(error)
        except (OSError, ValueError):
            return None

    def _members(self) -> list[dict[str, Any]]:
        answers = (self._ask(name, "/cluster") for name in self._running if name in NODES)
        return next((answer["members"] for answer in answers if answer), [])

    def _is_whole(self) -> bool:
        members = self._members()
        states = {(member["role"], member["state"]) for member in members if member["role"] != "leader"}
        has_leader = any(member["role"] == "leader" and member["state"] == "running" for member in members)
        return (
            len(members) == len(NODES)
            and has_leader
            and states <= {("replica", "streaming"), ("sync_standby", "streaming")}
            and (("sync_standby", "streaming") in states) == self._wants_synchronous()
        )

    def _wants_synchronous(self) -> bool:
        answers = (self._ask(name, "/config") for name in self._running if name in NODES)
        return bool(next((answer.get("synchronous_mode") for answer in answers if answer), False))

    def _end(self) -> None:
        self._keeper.end()
        for process in self._running.values():
            process.wait()
