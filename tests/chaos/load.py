"""What do clients see that are not Django? Threads that ask on and on, and keep what they got."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.waiting import until

TIMEOUT_SECONDS = 30.0
# A new connection now and then: gunicorn's workers each keep those that they accepted.
REQUESTS_PER_CONNECTION = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request: when it began (monotonic seconds), how long it took, and what came back."""

    client: int
    path: str
    began: float
    seconds: float
    status: int | None
    body: Mapping[str, Any]
    retry_after: str | None = None
    error: str | None = None

    @property
    def ended(self) -> float:
        return self.began + self.seconds

    @property
    def is_failed(self) -> bool:
        return self.status != http.client.OK

    def __str__(self) -> str:
        said = self.error or str(dict(self.body))[:200]
        return f"{self.path} {self.status} after {self.seconds:.3f} s: {said}"


class Client:
    """One connection to the site, opened anew when it broke or was used enough."""

    def __init__(
        self, url: str, *, number: int = 0, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> None:
        parts = urlsplit(url)
        self._number = number
        self._address = (str(parts.hostname), parts.port)
        self._method = method
        self._headers = dict(headers or {})
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0

    def ask(self, path: str) -> Answer:
        began = time.monotonic()
        try:
            response, text = self._exchange(path)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            seconds = time.monotonic() - began
            return Answer(
                client=self._number, path=path, began=began, seconds=seconds, status=None, body={}, error=repr(error)
            )
        return Answer(
            client=self._number,
            path=path,
            began=began,
            seconds=time.monotonic() - began,
            status=response.status,
            body=_body(text),
            retry_after=response.headers.get("Retry-After"),
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None or self._used >= REQUESTS_PER_CONNECTION:
            self.close()
            self._connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_SECONDS)
            self._used = 0
        self._used += 1
        self._connection.request(self._method, path, headers=self._headers)
        response = self._connection.getresponse()
        return response, response.read()


class Load:
    """Clients that ask for `paths` in turn, with a pause after each, until the block ends."""

    def __init__(
        self,
        url: str,
        paths: Sequence[str],
        *,
        clients: int = 8,
        pause_seconds: float = 0.01,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        keep: Callable[[Answer], None] | None = None,
    ) -> None:
        """Take what to ask; `keep` is called with each answer, by default all are kept in `answers`."""
        self.answers: list[Answer] = []
        self._keep = keep or self.answers.append
        self._paths = list(paths)
        self._pause_seconds = pause_seconds
        self._stopped = threading.Event()
        self._clients = [Client(url, number=number, method=method, headers=headers) for number in range(clients)]
        self._threads = [
            threading.Thread(target=self._run, args=(client, number), name=f"client-{number}", daemon=True)
            for number, client in enumerate(self._clients)
        ]

    def wait_for(self, count: int, timeout_seconds: float = 60) -> None:
        """Wait until so many requests were answered."""
        until(lambda: len(self.answers) >= count, timeout_seconds, lambda: f"{count} requests: {len(self.answers)}")

    def wait_for_each_client(self, timeout_seconds: float = 60) -> None:
        """Wait until the requests that are in flight now have ended."""
        now, seen, missing = time.monotonic(), len(self.answers), set(range(len(self._clients)))

        def have_ended() -> bool:
            missing.difference_update(answer.client for answer in self.answers[seen:] if answer.ended > now)
            return not missing

        until(have_ended, timeout_seconds, lambda: f"requests of the clients {missing} end")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)

    def _run(self, client: Client, number: int) -> None:
        turns = cycle(self._paths[number % len(self._paths) :] + self._paths[: number % len(self._paths)])
        while not self._stopped.is_set():
            self._keep(client.ask(next(turns)))
            self._stopped.wait(self._pause_seconds)
        client.close()


def _body(text: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {"text": text.decode(errors="replace")[-300:]}
    return body if isinstance(body, dict) else {"body": body}
