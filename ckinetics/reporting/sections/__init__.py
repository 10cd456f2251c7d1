"""Sections of a report, each of one kind of result."""
