"""Which events of the router can a site listen to?"""

from __future__ import annotations

from django.dispatch import Signal

role_decided = Signal()
"""Sent when the decision of a unit of work changes, with `sender` (the primary's alias), `decision`, `model`.

Only sent when it has receivers: a site without any pays one attribute test. Reads outside every unit of work send it
each time.
"""
