"""Compiled kernels: numba and numpy only, arrays in and arrays out."""
