"""Workflows to learn from, run and test mappings with."""
