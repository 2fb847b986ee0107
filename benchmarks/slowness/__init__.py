"""What does one slow replica cost a site? The stage, the sites that appear on it, and what happens to each."""

from __future__ import annotations

WIRE, QUERIES = "wire", "queries"
WAYS = (WIRE, QUERIES)
"""How a replica is slow: each answer comes late; or the site's queries take long, and what a probe asks does not."""
OURS = "ours"
RANDOM = "random router"
MULTIDB = "django-multidb-router"
HAPROXY = "HAProxy leastconn"
SITES = (OURS, RANDOM, MULTIDB, HAPROXY)
PLACES = 10_000
"""How many rows there are to read."""
