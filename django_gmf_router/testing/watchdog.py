"""Who ends a cluster when its owner was killed and can do nothing any more?

Run as a program: it waits for the end of its standard input, whose other end only the owner holds, then ends
the cluster of the directory it was given, if that is still there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from django_gmf_router.testing.cleanup import end_cluster
from django_gmf_router.testing.state import load


def main(directory: Path) -> None:
    """Wait for the owner's end, then end what it left."""
    sys.stdin.buffer.read()
    state = load(directory)
    if state is not None:
        end_cluster(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
