"""A proxy in front of a Redis server that ends connections at commands which a test chooses."""

from collections import Counter

from dynamic_helpers.repeating_proxy import SETUP, PacketProxy


class BreakingProxy(PacketProxy):
    """Ends a connection when a command comes that is not to be executed.

    Args:
        target: the path of the server's socket.
        breaks: returns whether to end the connection, given the number of packets that it has had,
            without those that set it up, and the names of the commands that come next.
    """

    def __init__(self, target, breaks):
        super().__init__(target)
        self._breaks = breaks
        self._counts = Counter()

    async def forward(self, commands, passing, answers, far):
        names = [words[0] for _, words in commands]
        if names[0] not in SETUP:
            if self._breaks(self._counts[far], names):
                return False
            self._counts[far] += 1
        far.write(b"".join(packed for packed, _ in commands))
        return True
