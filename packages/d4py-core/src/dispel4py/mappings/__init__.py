"""The mappings that d4py-core brings along: `simple`."""
