"""Large arrays between ranks of one machine, through shared memory.

It is a `Transport` around another one: small items go by that one, and large buffers through an
arena.
"""
