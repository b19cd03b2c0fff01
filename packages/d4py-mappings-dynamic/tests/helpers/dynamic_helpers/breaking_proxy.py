"""A proxy in front of a Redis server that ends connections at commands which a test chooses."""

import asyncio
import random

from d4py_conformance.chaos.tcp_proxy import Proxy
from dynamic_helpers.repeating_proxy import LIMIT, SETUP, pass_on, read_packet


class BreakingProxy(Proxy):
    """Ends a connection when a command comes that is not to be executed.

    Args:
        target: the path of the server's socket.
        breaks: returns whether to end the connection, given the number of packets that it has had,
            without those that set it up, and the names of the commands that come next.
    """

    def __init__(self, target, breaks):
        super().__init__(target, random.Random(0))
        self._breaks = breaks

    async def _serve(self, reader, near):
        answers, far = await asyncio.open_unix_connection(self._target, limit=LIMIT)
        passing = asyncio.create_task(pass_on(answers, near))
        count = 0
        try:
            while commands := await read_packet(reader):
                names = [words[0] for _, words in commands]
                if names[0] not in SETUP:
                    if self._breaks(count, names):
                        break
                    count += 1
                far.write(b"".join(packed for packed, _ in commands))
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has ended
        finally:
            passing.cancel()
            near.close()
            far.close()
