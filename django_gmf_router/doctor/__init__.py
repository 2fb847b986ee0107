"""Is a site set up right? What `gmf_doctor` and `check --database` find, one thing at a time, and what helps there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.core.checks import CheckMessage


class Verdict:
    """What an answer comes to."""

    OK: Final = "ok"
    RISKY: Final = "risky"
    """Legal, and may be meant."""
    WRONG: Final = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer to one question."""

    about: str
    """A node, or `settings`."""
    text: str
    """What was found: a predicate whose subject is what it is about, or the sentence of a system check."""
    verdict: str = Verdict.OK
    problem: CheckMessage | None = None
    """The same as a system check; None: it is as it should be."""

    def __str__(self) -> str:
        """Say it in one line, with the remedy and the id by which it can be silenced."""
        line = f"{self.verdict.upper():5}  {self.about}: {self.text}"
        return line if self.problem is None else f"{line} {self.problem.hint} ({self.problem.id})"

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "about": self.about,
            "verdict": self.verdict,
            "text": self.text,
            "remedy": self.problem and self.problem.hint,
            "id": self.problem and self.problem.id,
        }
