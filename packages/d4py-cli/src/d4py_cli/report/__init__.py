"""Reports of runs: what a run did over time, as a page that is read offline."""
