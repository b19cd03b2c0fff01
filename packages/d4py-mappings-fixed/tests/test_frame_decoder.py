"""Frames are the same however the stream of their bytes is cut."""

import doctest

from hypothesis import given
from hypothesis import strategies as some

from d4py_fixed.engine.transport import LARGE_BYTES
from d4py_fixed.local import frame_decoder
from d4py_fixed.local.frame_decoder import FrameDecoder, encode

FRAMES = some.lists(some.lists(some.binary(max_size=40), max_size=5), max_size=8)


def decoded(stream, sizes, space):
    """What a decoder makes of a stream of which `sizes` bytes arrive at a time."""
    decoder, frames, at = FrameDecoder(), [], 0
    sizes = iter(sizes)
    while at < len(stream):
        most = next(sizes, len(stream))
        if decoder.to_fill is None:
            data = stream[at : at + min(most, space)]
            frames += decoder.decode(memoryview(data))
        else:
            data = stream[at : at + min(most, len(decoder.to_fill))]
            decoder.to_fill[: len(data)] = data
            frames += decoder.filled(len(data))
        at += len(data)
    return frames


@given(FRAMES, some.lists(some.integers(1, 60)), some.integers(1, 200))
def test_frames_are_decoded_from_pieces_of_any_size(frames, sizes, space):
    stream = b"".join(buffer for parts in frames for buffer in encode(parts))
    assert decoded(stream, sizes, space) == frames


def test_small_parts_are_written_at_once_and_large_ones_are_not_copied():
    assert len(encode([b"head", b"", b"x" * 100])) == 1
    large = bytearray(LARGE_BYTES)
    *_, written = encode([b"head", large])
    written[0] = 1
    assert large[0] == 1


def test_a_part_is_not_the_memory_that_was_read_into():
    data = bytearray(b"".join(encode([b"whole"]) + encode([b"begun"])))[:-2]
    decoder = FrameDecoder()
    (frame,) = decoder.decode(memoryview(data))
    data[:] = bytes(len(data))
    decoder.to_fill[:] = b"un"
    assert [frame, *decoder.filled(2)] == [[b"whole"], [b"begun"]]


def test_the_example_is_right():
    assert doctest.testmod(frame_decoder).failed == 0
