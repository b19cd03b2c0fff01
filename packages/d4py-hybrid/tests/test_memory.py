"""C6: a fast producer waits for a slow consumer, so no memory grows with the number of items."""

import time

import pytest

MIB = 1 << 20
#: Bytes that a run may take in one process, or of the server, beyond what these take when empty.
#: All items of a test together are much larger.
MOST_BYTES = 96 * MIB


@pytest.fixture
def server(start_server):
    """A new server, so that its peak memory is that of this test."""
    server = start_server()
    yield server
    assert server.keys() == []
    assert server.peak() < MOST_BYTES


@pytest.mark.slow
def test_c6_a_slow_stateful_receiver(execute, flows, chain):
    graph = chain(flows.Blocks(1024), flows.Relay(), flows.Size(pause=1.5))
    result = execute(graph, 200_000, 3)
    ((items, size, grown),) = result.outputs["Size2"]["output"]
    assert (items, size) == (200_000, 200_000 * 1024)
    assert grown < MOST_BYTES


def test_c6_one_call_that_writes_everything(execute, flows, chain):
    graph = chain(flows.GrowingBlocks(600, 300_000), flows.Relay(), flows.Size(pause=1.0))
    result = execute(graph, 1, 2)
    ((items, size, grown),) = result.outputs["Size2"]["output"]
    assert (items, size > 300_000 * 400) == (300_001, True)
    assert grown < MOST_BYTES


@pytest.mark.slow
def test_c6_the_producer_itself_stays_small(execute, flows, chain):
    graph = chain(flows.GrowingBlocks(600, 300_000), flows.Relay(), flows.Relay())
    last = []

    def on_result(pe_id, output, data):
        if not last:
            time.sleep(1.0)  # the caller is slow at first
            last.append(data)
        elif data.startswith(b"grown"):
            last[0] = data

    execute(graph, 1, 2, on_result=on_result)
    assert int(last[0].split()[-1]) < MOST_BYTES


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.slow
def test_c6_results_are_held_back_for_a_slow_caller(execute, flows, chain, processes):
    seen = 0

    def on_result(pe_id, output, data):
        nonlocal seen
        seen += 1
        if seen == 1:
            time.sleep(1.5)

    execute(chain(flows.Blocks(1024), flows.Relay()), 200_000, processes, on_result=on_result)
    assert seen == 200_000


def test_c6_endless_inputs_are_read_as_their_root_uses_them(execute, flows, chain):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield {"input": b"x" * 10_000}

    def on_result(pe_id, output, data):
        time.sleep(0.2)
        assert read < 10_000
        raise KeyError(read)

    with pytest.raises(KeyError):
        execute(chain(flows.Slow(0.01), flows.Relay()), endless(), on_result=on_result)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.slow
def test_c6_large_items(execute, flows, chain, kept):
    middle = flows.Relay()
    middle.stateful = kept
    graph = chain(flows.Blocks(MIB), middle, flows.Size(pause=0.5))
    result = execute(graph, 250, 3)
    ((items, size, grown),) = result.outputs["Size2"]["output"]
    assert (items, size) == (250, 250 * MIB)
    assert grown < MOST_BYTES
