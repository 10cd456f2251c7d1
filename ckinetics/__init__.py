"""ckinetics: cellular kinetics of CAR-T, from plate exports to exposure and response."""

from ._version import __version__

__all__ = ["__version__"]
