"""The driver of a run: feeds roots, supervises workers, and detects the end."""
