"""The text of the numba module of a model, and its place in the cache."""
