"""Mistakes in graphs, PEs and calls of `run`: found early, and reported with what to write.

Each module looks for one kind of mistake and has the message for it.
"""
