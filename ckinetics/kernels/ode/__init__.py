"""Solvers of differential equations, one patient at a time or several side by side."""
