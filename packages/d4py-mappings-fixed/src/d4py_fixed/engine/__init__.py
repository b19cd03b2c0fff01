"""Mapping-independent engine of the fixed mappings: placement, ranks, the driver and their frames.

A mapping adds a `Transport` and a way to start processes.
"""
