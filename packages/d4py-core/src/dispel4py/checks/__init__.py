"""Checks for mistakes in graphs, PEs and calls of `run`, with messages that say what to write.

Each module checks for one kind of mistake.
"""
