"""What does it cost to sign the token of a client, to verify one, to refuse one?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from django.core.signing import Signer

from benchmarks import site
from benchmarks.contestants import Contestant, calling
from django_gmf_router.consistency.tokens import Mark, Token, dumps, loads

SETTINGS = site.SETTINGS
HOUR_SECONDS = 3600.0


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure a token of one cluster, as nearly every site has it."""
    take(list(_contestants()))


def _contestants() -> Iterator[Contestant]:
    now = float(int(time.time()))
    mark = Mark(cluster="default", system_identifier="7415926535897932384", timeline=3, position=0x16B374D848)
    token = Token(time=now, marks=(mark,))
    text = dumps(token)
    forged = f"{text[:-1]}{'A' if text[-1] != 'A' else 'B'}"
    signer, payload = Signer(), text.rpartition(":")[0]
    _expect(loads(text, max_age_seconds=HOUR_SECONDS, now=now) == token)
    _expect(loads(forged, max_age_seconds=HOUR_SECONDS, now=now) is None)
    verify = "loads(text, max_age_seconds=age, now=now)"
    names = {"dumps": dumps, "loads": loads, "token": token, "now": now, "age": HOUR_SECONDS}
    yield calling("nothing", "pass")
    yield calling("sign and verify", verify.replace("text", "dumps(token)"), **names)
    yield calling("verify", verify, text=text, **names)
    yield calling("refuse a forged one", verify, text=forged, **names)
    yield calling("Django's Signer", "signer.unsign(signer.sign(payload))", signer=signer, payload=payload)


def _expect(holds: bool) -> None:
    """Raise unless what is measured does what its name says."""
    if not holds:
        raise AssertionError("A token is not taken or refused as its row says.")
