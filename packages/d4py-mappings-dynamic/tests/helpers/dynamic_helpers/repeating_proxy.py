"""A proxy behind which a Redis server executes each packet of commands twice.

The first time the answer is dropped, and the connection ends: so the client connects again, and
sends the same again.  What is sent more often, such as heartbeats, is passed on from then on.
"""

import asyncio
import random
import re
import secrets

from d4py_conformance.chaos.tcp_proxy import Proxy

#: Commands by which a connection begins, or which ask what the server is before a run is there.
SETUP = {*(b"HELLO", b"AUTH", b"CLIENT", b"SELECT"), *(b"CLUSTER", b"CONFIG", b"INFO", b"PING")}
_ARRAY, _STRING = re.compile(rb"\*(\d+)\r\n"), re.compile(rb"\$(\d+)\r\n")
#: Size in bytes of the largest answer.
LIMIT = 1 << 24
#: How long a read waits may differ when it is sent again.
_BLOCK = re.compile(rb"BLOCK\r\n\$\d+\r\n\d+")


class PacketProxy(Proxy):
    """Passes packets of commands on to a server one by one.

    Args:
        target: the server's port on this host, or the path of its socket.
    """

    def __init__(self, target):
        super().__init__(target, random.Random(0))

    async def forward(self, commands, passing, answers, far):
        """Send the server a packet; return whether to keep the connection.

        Args:
            commands: what has come, as of `read_packet`.
            passing: the task that sends the client what the server answers.
            answers: reads what the server answers.
            far: writes to the server.
        """
        raise NotImplementedError

    async def _serve(self, reader, near):
        if isinstance(self._target, int):
            answers, far = await asyncio.open_connection("127.0.0.1", self._target, limit=LIMIT)
        else:
            answers, far = await asyncio.open_unix_connection(self._target, limit=LIMIT)
        passing = asyncio.create_task(pass_on(answers, near))
        try:
            while commands := await read_packet(reader):
                if not await self.forward(commands, passing, answers, far):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has ended
        finally:
            passing.cancel()
            near.close()
            far.close()


class RepeatingProxy(PacketProxy):
    """Has a server execute each packet of commands twice.

    Args:
        target: the server's port on this host.

    Attributes:
        repeated: (command, first argument) of commands that were executed twice.
    """

    def __init__(self, target):
        super().__init__(target)
        self.repeated = set()
        self._before = set()

    async def forward(self, commands, passing, answers, far):
        packet = b"".join(packed for packed, _ in commands)
        words = [words for _, words in commands]
        if words[0][0] not in SETUP:
            if not self._was_executed(packet):
                passing.cancel()
                await asyncio.wait([passing])
                await execute(packet, answers, far)
                return False
            self.repeated.update((*command, b"")[:2] for command in words)
        far.write(packet)
        return True

    def _was_executed(self, packet):
        """Return whether the same packet was executed before; from now on it was."""
        packet = _BLOCK.sub(b"BLOCK", packet)
        was_executed = packet in self._before
        self._before.add(packet)
        return was_executed


async def pass_on(answers, near):
    """Send a client what its server answers."""
    while data := await answers.read(LIMIT):
        near.write(data)
    near.close()


async def execute(packet, answers, far):
    """Send a server a packet, and wait until it has answered all of it."""
    mark = secrets.token_hex(16).encode()
    far.write(packet + b"*2\r\n$4\r\nECHO\r\n$32\r\n" + mark + b"\r\n")
    await answers.readuntil(mark + b"\r\n")


async def read_packet(reader):
    """Return commands that have come together, each with its arguments; none at the end."""
    packet = b""
    while (commands := parse(packet)) is None:
        data = await reader.read(LIMIT)
        if not data:
            return []
        packet += data
    return commands


def parse(packet):
    """Return the commands of a packet, each with its arguments; None while it is not whole."""
    commands, at = [], 0
    while head := _ARRAY.match(packet, at):
        arguments, end = [], head.end()
        for _ in range(int(head[1])):
            size = _STRING.match(packet, end)
            if size is None:
                return None
            begin, end = size.end(), size.end() + int(size[1]) + 2
            arguments.append(packet[begin : end - 2])
        commands.append((packet[at:end], arguments))
        at = end
    return commands if commands and at == len(packet) else None
