"""The derivatives that solvers and fits need, in symbols."""
