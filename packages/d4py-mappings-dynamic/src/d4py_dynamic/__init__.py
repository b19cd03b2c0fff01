"""Mappings that hand each task to whichever worker is free."""
