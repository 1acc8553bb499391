"""Where results go: tables row by row, annotated video, and what researchers' tools read."""

from mien.reading.results import Row, columns, rows
from mien.sinks.base import Sink
from mien.sinks.formats import FORMATS, SINKS, create_sink

__all__ = ["FORMATS", "SINKS", "Row", "Sink", "columns", "create_sink", "rows"]
