"""Which events of the router can a site listen to?"""

from __future__ import annotations

from django.dispatch import Signal

role_decided = Signal()
"""Sent when the decision of a unit of work changes, with `sender` (the primary's alias), `decision`, `model`.

Only sent when it has receivers: a site without any pays one attribute test. Reads outside every unit of work send it
each time.
"""

node_down = Signal()
"""Sent when a node goes down, with `sender` (the node's alias), `cluster` (the primary's alias), `health` (NodeHealth).

Sent in the thread that noticed: one of the monitor's, or a request's whose connection was refused.
"""

node_up = Signal()
"""Sent when a node that was down is no longer, with the same arguments; it may still be lagging: see `health`."""
