"""Reducers of libraries' types, whose own pickles copy their data or carry more than their part.

A module per family of libraries has `reducers`, which returns them by type.  None imports its
library: it is given it when a program has imported it.
"""
