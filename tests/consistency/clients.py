"""What do the clients of a run do? A process of several; it takes a plan from stdin and prints its operations.

No Django here: the machine is to be busy with the site.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.cookies import SimpleCookie
from typing import Any

from tests.consistency.operations import Operation, write_lines

COOKIE, HEADER = "gmf_token", "GMF-Consistency-Token"
SESSION = "sessionid"
OK, FOUND = 200, 302
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one process does.

    sites: host and port of each web server; clients: whose registers they write, each the register of its own number;
    shared: those of them that write and read over several connections with one cookie jar; registers: all there are;
    operations: of all clients of the process together; reads: of a client after a write, at most; pause_seconds: the
    longest time between two of them; redirect_seconds: how long a redirect is on its way to the client and back;
    others: the share of reads that go to the registers of others.
    """

    sites: list[tuple[str, int]]
    clients: list[int]
    shared: list[int]
    registers: list[int]
    operations: int
    seed: int
    connections: int = 4
    reads: int = 4
    pause_seconds: float = 0.0
    redirect_seconds: float = 0.0
    others: float = 0.2

    def text(self) -> str:
        """Return what the process is given."""
        return json.dumps(asdict(self))


class Jar:
    """What a client was given to send back: a cookie or a header, whichever the site uses."""

    def __init__(self, session: str) -> None:
        """Begin with the key of a session, by which a cache may know the client."""
        self._cookies: dict[str, tuple[str, float]] = {SESSION: (session, float("inf"))}
        self._header: str | None = None
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """Return what to send now."""
        with self._lock:
            now = time.monotonic()
            cookies = "; ".join(f"{name}={value}" for name, (value, ends) in self._cookies.items() if ends > now)
            return {"Cookie": cookies} if self._header is None else {"Cookie": cookies, HEADER: self._header}

    def take(self, response: HTTPResponse) -> str | None:
        """Keep what a response gives, as a browser does: the last one wins; return the text of its token."""
        with self._lock:
            given = response.getheader(HEADER)
            self._header = given or self._header
            for line in response.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self._cookies[name] = (morsel.value, time.monotonic() + float(morsel["max-age"] or "inf"))
                    given = morsel.value if name == COOKIE else given
            return given


def token_of(headers: dict[str, str]) -> str | None:
    """Return the text of the token among the headers of a request."""
    cookie = SimpleCookie(headers["Cookie"]).get(COOKIE)
    return headers.get(HEADER) if cookie is None else cookie.value


class Connection:
    """One thread of a client: a connection to each site, a jar that others may share, and what it did."""

    def __init__(self, plan: Plan, client: int, jar: Jar, values: Iterator[int], seed: str) -> None:
        """Take the values that this client has yet to write."""
        self._plan, self._client, self._jar, self._values = plan, client, jar, values
        self._random = random.Random(seed)
        self._open: dict[int, HTTPConnection] = {}
        self.operations: list[Operation] = []

    def run(self, budget: Iterator[int]) -> None:
        """Write, follow the redirect, read on; until the budget is spent."""
        time.sleep(self._random.uniform(0, self._plan.pause_seconds))  # as people pause
        while next(budget, None) is not None:
            self._write(next(self._values))
            time.sleep(self._plan.redirect_seconds)  # as a browser takes to follow
            for number in range(self._random.randint(1, self._plan.reads)):
                if next(budget, None) is None:
                    return
                self._read(is_first=number == 0)
                time.sleep(self._random.uniform(0, self._plan.pause_seconds))  # as people pause

    def close(self) -> None:
        """Close what is open."""
        for connection in self._open.values():
            connection.close()

    def _write(self, value: int) -> None:
        self._operate("POST", f"/register/{self._client}?n={value}", FOUND, register=self._client, value=value)

    def _read(self, is_first: bool) -> None:
        is_others = not is_first and self._random.random() < self._plan.others
        register = self._random.choice(self._plan.registers) if is_others else self._client
        self._operate("GET", f"/register/{register}", OK, register=register, is_first=is_first)

    def _operate(self, method: str, path: str, status: int, **known: Any) -> None:
        site = self._random.randrange(len(self._plan.sites))
        headers = self._jar.headers()
        started = time.monotonic()
        try:
            answer = self._ask(site, method, path, headers)
            body = answer.read()
            known["received"] = self._jar.take(answer)
            if answer.status != status:
                known["error"] = f"{method} {path}: {answer.status} {body[:200]!r}"
            elif method == "GET":
                known.update(json.loads(body))
        except (OSError, HTTPException) as error:
            self._open.pop(site).close()
            known["error"] = f"{method} {path}: {type(error).__name__} {error}"
        operation = Operation(
            client=self._client,
            is_write=method == "POST",
            started=started,
            ended=time.monotonic(),
            site=site,
            sent=token_of(headers),
            **known,
        )
        self.operations.append(operation)

    def _ask(self, site: int, method: str, path: str, headers: dict[str, str]) -> HTTPResponse:
        """Ask on the connection that is open; on a new one where the server has closed that meanwhile."""
        was_open = site in self._open
        connection = self._open.setdefault(site, HTTPConnection(*self._plan.sites[site], timeout=TIMEOUT_SECONDS))
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse()
        except (ConnectionError, HTTPException):
            connection.close()
            if not was_open:
                raise
            connection.request(method, path, headers=headers)
            return connection.getresponse()


def connections(plan: Plan) -> Iterator[Connection]:
    """Yield the connections of all clients."""
    for client in plan.clients:
        jar, values = Jar(f"{plan.seed}-{client}"), itertools.count(1)
        for number in range(plan.connections if client in plan.shared else 1):
            yield Connection(plan, client, jar, values, f"{plan.seed}-{client}-{number}")


def main() -> None:
    """Run all clients of the plan, each connection in a thread."""
    plan = Plan(**json.load(sys.stdin))
    budget = iter(range(plan.operations))
    running = list(connections(plan))
    threads = [threading.Thread(target=each.run, args=(budget,)) for each in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in running:
        each.close()
    sys.stdout.write(write_lines(operation for each in running for operation in each.operations))


if __name__ == "__main__":
    main()
