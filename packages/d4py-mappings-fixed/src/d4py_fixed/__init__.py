"""Mappings that fix before the run which process runs which instance."""
