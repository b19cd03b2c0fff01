"""The PEs that the tests are made from, a module for each kind of behaviour."""
