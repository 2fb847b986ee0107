"""Are hung connections set free, and nothing else?"""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable

import pytest

from django_gmf_router.postgres.sockets import NodeSockets, is_gone


class Connection:
    """A driver's connection to the other end of a pair."""

    def __init__(self) -> None:
        self.socket, self.server = self.pair()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    def fileno(self) -> int:
        return self.socket.fileno()

    def end(self) -> None:
        self.socket.close()
        self.server.close()


class TCPConnection(Connection):
    """One over TCP: a pair of Unix sockets hangs up by itself when one is closed."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            return client, listener.accept()[0]


@pytest.mark.parametrize("how", [NodeSockets.free, NodeSockets.shut])
def test_a_read_that_hangs_fails_at_once(how: Callable[[NodeSockets, str], None]) -> None:
    sockets, connection, answers = NodeSockets(), Connection(), []
    sockets.hold("replica_1", connection).begin()
    reader = threading.Thread(target=lambda: answers.append(connection.socket.recv(1)), daemon=True)
    reader.start()
    how(sockets, "replica_2")
    assert reader.is_alive()
    how(sockets, "replica_1")
    reader.join(10)
    assert answers == [b""]
    connection.end()


def test_on_a_node_that_is_late_only_what_may_be_repeated_is_freed_and_the_rest_is_doubted() -> None:
    sockets = NodeSockets()
    reading, writing, streaming = (Connection() for _ in range(3))
    held = [sockets.hold("replica_1", connection) for connection in (reading, writing, streaming)]
    held[0].begin()
    held[1].begin()
    held[1].end()
    held[2].begin()
    held[2].streams += 1
    sockets.free("replica_1")
    assert [is_gone(connection) for connection in (reading, writing, streaming)] == [True, False, False]
    assert [one.doubted for one in held] == [True] * 3
    sockets.shut("replica_1")
    assert [is_gone(connection) for connection in (writing, streaming)] == [True, True]
    for connection in (reading, writing, streaming):
        connection.end()


def test_what_connected_after_a_node_was_asked_is_not_shut() -> None:
    sockets, connection = NodeSockets(), Connection()
    held = sockets.hold("default", connection)
    sockets.shut("default", held.since)
    assert not is_gone(connection)
    sockets.shut("default", held.since + 1)
    assert is_gone(connection)
    connection.end()


def test_a_descriptor_is_given_back_with_its_connection_not_by_the_garbage_collector() -> None:
    sockets, connection = NodeSockets(), Connection()
    held = sockets.hold("replica_1", connection)
    connection.end()
    sockets.release(held)
    assert sockets.count() == 0
    sockets.shut("replica_1")
    held.shut()


def test_a_connection_is_held_once_and_as_long_as_it_lives() -> None:
    sockets, connection = NodeSockets(), Connection()
    sockets.hold("replica_1", connection)
    sockets.hold("replica_1", connection)
    assert sockets.count() == 1
    connection.end()
    del connection
    gc.collect()
    assert sockets.count() == 0


def test_a_descriptor_that_was_used_again_is_not_hit() -> None:
    sockets, connection = NodeSockets(), Connection()
    sockets.hold("replica_1", connection)
    number = connection.fileno()
    connection.end()
    again = Connection()
    assert number in {again.socket.fileno(), again.server.fileno()}
    sockets.shut("replica_1")
    again.server.send(b"x")
    assert again.socket.recv(1) == b"x"
    again.end()


def test_a_connection_that_the_server_closed_is_gone_even_with_words_unread() -> None:
    connection = TCPConnection()
    assert not is_gone(connection)
    connection.server.send(b"last words")
    assert not is_gone(connection)
    connection.server.close()
    assert is_gone(connection)
    connection.end()


def test_a_connection_that_is_closed_here_is_gone() -> None:
    connection = Connection()
    connection.end()
    assert is_gone(connection)


@pytest.mark.parametrize("ended", [False, True])
def test_shutting_what_the_other_side_ended_first_is_no_error(ended: bool) -> None:
    sockets, connection = NodeSockets(), Connection()
    sockets.hold("replica_1", connection)
    if ended:
        connection.end()
    sockets.shut("replica_1")
    sockets.shut("replica_1")
    connection.end()
