"""Small workflows, each of which shows one thing that a graph can do.

They are what mappings are tested with, too: for each of them it is known what comes out.
"""
