"""Provenance of runs: from what, by what and when results were made, in standard formats."""
