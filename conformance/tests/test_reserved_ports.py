"""A port that is reserved: no other program gets it, and the server it is for does."""

import socket
import sys
from contextlib import ExitStack

import pytest

from d4py_conformance.subprocesses.reserved_ports import ReservedPort

HOST = "127.0.0.1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps it for a server")
class TestAReservedPort:
    def test_no_other_program_gets_it(self):
        with ReservedPort() as port, ExitStack() as stack:
            with pytest.raises(OSError, match="in use"):
                ReservedPort(port.number)
            others = [stack.enter_context(ReservedPort()) for _ in range(100)]
            assert port.number not in {other.number for other in others}

    def test_its_server_gets_it_again_and_again(self):
        with ReservedPort() as port:
            for _ in range(2):
                with (
                    socket.create_server((HOST, port.number)) as server,
                    socket.create_connection((HOST, port.number)) as client,
                    server.accept()[0] as accepted,
                ):
                    assert accepted.getpeername() == client.getsockname()


def test_it_is_free_at_the_end():
    with ReservedPort() as port:
        pass
    with socket.socket() as other:
        other.bind((HOST, port.number))
