"""Stateful instances with an owner each, stateless ones shared by all workers."""
