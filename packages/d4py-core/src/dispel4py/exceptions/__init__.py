"""Exceptions that PEs raise: which are theirs, how they are shown, and how they travel as bytes.

The errors that d4py raises itself are in `dispel4py.errors`.
"""
