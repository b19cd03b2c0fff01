"""Workflows of the kind that scientists run, on data that they make themselves."""
