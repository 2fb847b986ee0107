"""Did every client see what it was promised? The checks of a recorded history."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from django_gmf_router.consistency import tokens
from django_gmf_router.consistency.tokens import Token
from tests.consistency.operations import Operation

CLUSTER = "default"
# Beyond the time of any token, and as old as any may be.
FAR_SECONDS = 10.0**11


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A read that showed an older value than that of an acknowledged write whose token its client carried."""

    read: Operation
    write: Operation

    def __str__(self) -> str:
        read, write = self.read, self.write
        return (
            f"client {read.client} wrote {write.value} through site {write.site} and read {read.value} "
            f"{(read.started - write.ended) * 1000:.1f} ms later through site {read.site} "
            f"from port {read.port}; reason={read.reason}"
        )


class History:
    """All operations of a run."""

    def __init__(self, operations: Iterable[Operation], *, max_age_seconds: float = 60) -> None:
        """Take them in any order; after `max_age_seconds` a token promises nothing more."""
        self.operations = sorted(operations, key=lambda operation: operation.started)
        self._max_age = max_age_seconds
        self._writes: dict[int, list[Operation]] = defaultdict(list)
        for operation in sorted(self.operations, key=lambda each: each.ended):
            if operation.is_acknowledged:
                self._writes[operation.register].append(operation)
        self._ends = {register: [write.ended for write in writes] for register, writes in self._writes.items()}

    # What is promised

    def violations(self) -> list[Violation]:
        """Return every read of a client's own register that broke the guarantee."""
        found = ((read, self._broken_promise(read)) for read in self.operations if read.is_own_read)
        return [Violation(read=read, write=write) for read, write in found if write is not None]

    def inventions(self) -> list[Operation]:
        """Return every read of a value that nobody had begun to write when the read ended: nothing may show one."""
        begun: dict[int, list[Operation]] = defaultdict(list)
        for operation in self.operations:
            if operation.is_write:
                begun[operation.register].append(operation)
        return [
            read
            for read in self._reads()
            if read.value
            and not any(write.value == read.value and write.started < read.ended for write in begun[read.register])
        ]

    def _broken_promise(self, read: Operation) -> Operation | None:
        """Return the largest acknowledged write that `read` had to see and did not."""
        newer = (write for write in self._acknowledged_before(read) if (write.value or 0) > (read.value or 0))
        promised = [write for write in newer if self._was_promised(read, write)]
        return max(promised, key=lambda write: write.value or 0, default=None)

    def _was_promised(self, read: Operation, write: Operation) -> bool:
        if read.started - write.ended > self._max_age:
            return False
        # A write for which the site gave no token promises nothing less: its client carries all that it was given.
        return write.received is None or covers(read.sent, write.received)

    def _acknowledged_before(self, read: Operation) -> list[Operation]:
        return self._writes[read.register][: bisect_right(self._ends.get(read.register, []), read.started)]

    # What is not

    def first_reads(self, replicas: Iterable[int]) -> tuple[int, int]:
        """Return how many of the first reads after a write a replica served, and how many there were."""
        first = [read for read in self._reads() if read.is_first]
        return sum(read.port in set(replicas) for read in first), len(first)

    def reads_by(self, ports: Iterable[int]) -> tuple[int, int]:
        """Return how many reads these ports served, and how many there were."""
        reads = list(self._reads())
        return sum(read.port in set(ports) for read in reads), len(reads)

    def overtaken(self) -> list[Operation]:
        """Return the stale reads of a client's own register whose token was an older one than that of the write.

        Two answers reached one cookie jar in another order than their writes.
        """
        return [read for read in self._stale() if read.is_own_read and self._broken_promise(read) is None]

    def stale_reads_of_others(self) -> tuple[int, int]:
        """Return how many reads of others' registers showed less than was acknowledged, and how many there were."""
        others = sum(read.client != read.register for read in self._reads())
        return sum(read.client != read.register for read in self._stale()), others

    def reasons(self) -> Counter[str]:
        """Return how many reads had which reason."""
        return Counter(str(read.reason) for read in self._reads())

    def failures(self) -> list[Operation]:
        """Return what failed."""
        return [operation for operation in self.operations if operation.error is not None]

    def _stale(self) -> Iterator[Operation]:
        for read in self._reads():
            if any((write.value or 0) > (read.value or 0) for write in self._acknowledged_before(read)):
                yield read

    def _reads(self) -> Iterator[Operation]:
        return (operation for operation in self.operations if not operation.is_write and operation.error is None)


def covers(sent: str | None, given: str) -> bool:
    """Return whether a client that sent one token carried what the other one, given for a write, says."""
    carried, written = parse(sent), parse(given)
    if sent == given or written is None:
        return sent == given
    if carried is None:
        return False
    ours, theirs = carried.mark(CLUSTER), written.mark(CLUSTER)
    if ours is None or theirs is None:
        return False
    if ours.position is not None and theirs.position is not None:
        return (ours.timeline or 0, ours.position) >= (theirs.timeline or 0, theirs.position)
    return carried.time >= written.time


@cache
def parse(text: str | None) -> Token | None:
    """Return the token of a text, however old."""
    return tokens.loads(text, max_age_seconds=FAR_SECONDS, now=FAR_SECONDS)
