"""What a run shows on a terminal, or on standard output and standard error."""
