"""The driver of a run: feeds roots, supervises workers, and knows when the run is complete."""
