"""Processes of this machine: how they start, how they are watched, and how they end.

`pool` is what mappings use: a pool of worker processes that always ends, with all that PEs have
started.
"""
