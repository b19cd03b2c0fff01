"""Helpers of several test files of this folder."""
