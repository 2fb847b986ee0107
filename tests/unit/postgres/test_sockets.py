"""Are hung connections set free, and nothing else?"""

from __future__ import annotations

import gc
import socket
import threading

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


def test_a_read_that_hangs_fails_at_once() -> None:
    sockets, connection, answers = NodeSockets(), Connection(), []
    sockets.hold("replica_1", connection)
    reader = threading.Thread(target=lambda: answers.append(connection.socket.recv(1)), daemon=True)
    reader.start()
    sockets.shut("replica_2")
    assert reader.is_alive()
    sockets.shut("replica_1")
    reader.join(10)
    assert answers == [b""]
    connection.end()


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
