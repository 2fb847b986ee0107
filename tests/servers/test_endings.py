"""Does each web server end when it is told to, and does nothing of the monitor stay?"""

from __future__ import annotations

import signal
import time

from django_gmf_router.testing import LocalCluster
from tests.chaos.runs import NOTES
from tests.chaos.sites import INTERVAL
from tests.servers.matrix import Server
from tests.servers.sites import serving
from tests.waiting import until

END_SECONDS = 10.0
WATCHERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gmf_monitor'"


def test_it_ends_by_sigterm_and_no_session_of_the_monitor_stays(
    row: Server, library: LocalCluster, cluster: LocalCluster
) -> None:
    with serving(row, library) as site:
        site.wait_until_whole()
        began = time.monotonic()
        site.process.send_signal(signal.SIGTERM)
        site.process.wait(END_SECONDS)
        NOTES.append(f"{row.name} ends {time.monotonic() - began:.2f} s after SIGTERM: {site.process.returncode}")
    sessions = lambda: [cluster.execute(node, WATCHERS)[0][0] for node in cluster.nodes]  # noqa: E731
    until(lambda: sessions() == ["0", "0", "0"], 10 * INTERVAL, lambda: f"the monitors' sessions end: {sessions()}")
