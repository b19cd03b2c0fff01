"""Ranks in processes of this machine, and the mapping `multi`, which connects them by sockets."""
