"""Simulated profiles from a model: random effects, inputs, residual error, and the assay's limits."""

from .profiles import simulate as simulate
