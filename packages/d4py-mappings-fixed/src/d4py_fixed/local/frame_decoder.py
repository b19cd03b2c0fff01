"""`FrameDecoder`: frames from the byte stream of one peer.

A frame is encoded as the number of its parts, their lengths, and the parts.
"""

from __future__ import annotations

import struct
from collections import deque

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts

_COUNT = struct.Struct("!I")
_LENGTH_BYTES = 8


def encode(parts: MessageParts) -> deque[memoryview]:
    """Return the bytes of a frame, as buffers to be written one after the other.

    Small parts are joined, and large ones not copied.
    """
    views = [memoryview(part).cast("B") for part in parts]
    sizes = [*map(len, views)]
    header = struct.pack(f"!I{len(sizes)}Q", len(sizes), *sizes)
    if sum(sizes) < LARGE_BYTES:
        return deque([memoryview(b"".join([header, *views]))])
    return deque([memoryview(header), *views])


class FrameDecoder:
    """Decodes what a peer has sent, in pieces of any size.

    Frames are small as a rule, so that a read brings whole ones, which `decode` copies apart.  The
    rest of a part that has begun to arrive is read into its own memory, `to_fill`.

        >>> decoder = FrameDecoder()
        >>> stream = b"".join(encode([b"ab", b"cde"]) + encode([b"f"]))
        >>> decoder.decode(memoryview(stream[:-3]))
        [[bytearray(b'ab'), bytearray(b'cde')]]
        >>> decoder.decode(memoryview(stream[-3:]))
        [[bytearray(b'f')]]

    Attributes:
        to_fill: memory for the next bytes, which `filled` takes; None if `decode` takes them.
    """

    def __init__(self) -> None:
        self.to_fill: memoryview | None = None
        self._incomplete = b""  # the beginning of a frame, without all lengths
        self._lengths: tuple[int, ...] = ()
        self._parts: list[bytearray] | None = None  # those of a frame that is not complete

    def decode(self, data: memoryview) -> list[list[bytearray]]:
        """Decode bytes, and return the frames that are complete.

        Args:
            data: the bytes; they are not used after the call.
        """
        if self._incomplete:
            data = memoryview(self._incomplete + data)
            self._incomplete = b""
        frames: list[list[bytearray]] = []
        parts, lengths, at, end = self._parts, self._lengths, 0, len(data)
        while parts is not None or at < end:
            if parts is None:
                first = at + _COUNT.size
                count = _COUNT.unpack_from(data, at)[0] if first <= end else 0
                if first > end or first + count * _LENGTH_BYTES > end:
                    self._incomplete = bytes(data[at:])
                    break
                lengths = struct.unpack_from(f"!{count}Q", data, first)
                at = first + count * _LENGTH_BYTES
                parts = []
            for length in lengths[len(parts) :]:
                if at + length > end:
                    part = bytearray(length)
                    part[: end - at] = data[at:]
                    parts.append(part)
                    self._parts, self._lengths = parts, lengths
                    self.to_fill = memoryview(part)[end - at :]
                    return frames
                parts.append(bytearray(data[at : at + length]))
                at += length
            frames.append(parts)
            parts = None
        self._parts = None
        return frames

    def filled(self, count: int) -> list[list[bytearray]]:
        """Take bytes that were written to `to_fill`, and return the frame that they complete.

        Args:
            count: how many, at least one.
        """
        assert self.to_fill is not None
        rest = self.to_fill[count:]
        if rest:
            self.to_fill = rest
            return []
        self.to_fill = None
        return self.decode(memoryview(b""))
