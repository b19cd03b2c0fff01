"""Chaos tests: runs whose workers, connections, server and driver are disturbed at random.

They are about d4py's own mappings; a mapping author needs none of them.
"""
