"""Processes that tests start, interrupt, kill, and look at from outside."""
