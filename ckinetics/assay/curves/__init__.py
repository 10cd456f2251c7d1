"""A line through standards, and copies read off it."""
