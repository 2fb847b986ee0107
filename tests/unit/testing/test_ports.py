"""Are the ports of a cluster free, and refused when they are not?"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import ports
from django_gmf_router.testing.errors import LocalClusterError, PortTakenError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_differ_and_are_free() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(ports.is_free(port) for port in found)


def test_free_ports_are_none_that_outgoing_connections_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setting = tmp_path / "range"
    setting.write_text("15400\t60999\n")
    monkeypatch.setattr(ports, "EPHEMERAL", setting)
    assert all(ports.FIRST_PORT <= port < 15400 for port in ports.free_ports(20))


def test_an_unreadable_range_of_outgoing_ports_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "EPHEMERAL", Path("/nonexistent"))
    assert ports.free_ports(1)[0] < ports.DEFAULT_END


def test_a_base_port_gives_the_ports_from_there_on() -> None:
    first = next(port for port in range(20000, 30000) if all(map(ports.is_free, (port, port + 1, port + 2))))
    assert ports.free_ports(3, first) == [first, first + 1, first + 2]


def test_a_foreign_server_on_a_port_is_named(taken: int) -> None:
    with pytest.raises(PortTakenError, match=f"port {taken} is taken by another server"):
        ports.free_ports(1, taken)


@pytest.mark.parametrize("port", [0, 80, 65535, 70000])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(LocalClusterError, match=f"port {port}: choose one from 1024"):
        ports.free_ports(3, port)


def test_no_free_port_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(LocalClusterError, match=r"no free port on 127\.0\.0\.1 between"):
        ports.free_ports(1)
