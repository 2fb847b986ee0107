"""What may go wrong with a local cluster?"""

from __future__ import annotations


class LocalClusterError(Exception):
    """A local cluster cannot do what it was asked to; the message names the node or file and the remedy."""


class PortTakenError(LocalClusterError):
    """The port chosen for a node is in use by somebody else."""
