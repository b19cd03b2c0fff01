"""Large buffers between ranks of one machine, through shared memory.

`SharedMemoryTransport` wraps another transport, which carries small items.
"""
