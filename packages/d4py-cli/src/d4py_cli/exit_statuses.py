"""Exit statuses of the command, beside 0, 1 (the run failed) and 2 (wrong use)."""

#: Ctrl-C or SIGTERM has ended the run; a shell reports a process that SIGINT has ended so.
INTERRUPTED = 130
