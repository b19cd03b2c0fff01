"""Benchmarks: measurements in pairs, plain transports to compare with, and tables.

They are about d4py's own mappings; a mapping author needs none of them.
"""
