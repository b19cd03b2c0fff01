"""Where existing workflows import mappings, aggregates and monitoring from."""
