"""Reports: the HTML page, the workbook, and the tables that a person reads."""

from .summaries import summary
from .writing import report

__all__ = ["report", "summary"]
