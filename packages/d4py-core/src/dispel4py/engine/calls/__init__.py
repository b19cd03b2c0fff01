"""Calls of PEs: a `Runner` takes one instance through its life cycle.

It calls the PE with items, one by one or in batches, and gathers what the PE writes meanwhile, from
any thread.  Where that goes is up to `engine.execution`.
"""
