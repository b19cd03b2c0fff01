"""The rules of the design, one module per group; `d4py_conformance.mapping_suite` joins them."""
