"""How does a script or a worker read what was written elsewhere?"""

from __future__ import annotations

from django_gmf_router import remembering
from django_gmf_router.routing.blocks import Block
from django_gmf_router.routing.unit_of_work import open_unit


def consistency_token() -> str | None:
    """Return a token of what this unit of work has committed and its client brought; None if that is nothing.

    Outside requests: of all that the primary has committed by now. Ask after the commit, in `on_commit`: inside a
    transaction only the time can be told. It counts for `MAX_AGE` seconds.
    """
    return remembering.token_text(open_unit())


def read_after(token: str | None) -> Block:
    """Read inside this block or function at least what was committed when `token` was made; None asks for nothing.

    A token that has expired or is not ours sends the reads to the primary.
    """
    if token is None:
        return Block(None, "read_after")
    parsed = remembering.parse_token(token)
    return Block(None, "read_after", token=parsed, unmet=parsed is None)
