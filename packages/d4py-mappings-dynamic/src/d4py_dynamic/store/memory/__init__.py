"""Tasks in the memory of the driver's process, for workers of the same machine."""
