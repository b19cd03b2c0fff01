"""Open files in pickles and in finished PEs, the limit on open files, and paths of Unix sockets."""
