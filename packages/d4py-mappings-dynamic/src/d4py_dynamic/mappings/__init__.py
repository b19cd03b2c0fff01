"""The dynamic mappings themselves: their options, and which store and workers they put together."""
