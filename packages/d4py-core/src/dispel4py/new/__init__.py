"""The import paths of dispel4py for mappings, aggregates and monitoring."""
