"""What several test files of this folder share; on the path by `pythonpath` in pytest.ini."""
