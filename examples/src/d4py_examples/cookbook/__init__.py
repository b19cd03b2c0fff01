"""PEs that many workflows need: to import, or to copy and change.

Each does one thing and says what it keeps in memory.  Where items are dicts, a *key* is the name of
one of their fields, as in a grouping.
"""
