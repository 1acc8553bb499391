"""Where results go: tables row by row, annotated video, and what researchers' tools read."""

from mien.inference.sinks.base import Sink
from mien.inference.sinks.factory import FORMATS, SINKS, create_sink
from mien.inference.sinks.rows import Row, columns, rows

__all__ = ["FORMATS", "SINKS", "Row", "Sink", "columns", "create_sink", "rows"]
