"""Reports: the HTML page, the workbook, and the tables that a person reads."""

from .tables.summaries import summary
from .writing import report

__all__ = ["report", "summary"]
