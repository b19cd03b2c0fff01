"""Open files: in pickles, in PEs that are done, and how many a process may have.

Paths of Unix sockets, which have to be short, are here too.
"""
