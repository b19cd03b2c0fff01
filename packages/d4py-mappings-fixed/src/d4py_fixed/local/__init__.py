"""Ranks in processes of this machine, and the mapping `multi`: ranks connected by socket pairs."""
