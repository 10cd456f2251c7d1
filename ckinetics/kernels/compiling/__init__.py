"""The only place that sets a numba option: how kernels are compiled, and where compiled code lies."""
