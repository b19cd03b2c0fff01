"""The dispel4py command line."""
