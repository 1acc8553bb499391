"""Structured logs: one JSON object a line on stderr; no pictures, file names, keys or addresses unless asked for."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

LOGGER = "mien.service"


class JsonFormatter(logging.Formatter):
    """A record as a JSON object; its `extra={"fields": {…}}` becomes keys."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def start_logs(level: str) -> None:
    """Send the logs of the service and of its server to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in (LOGGER, "uvicorn", "python_multipart"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
    # They say again what the service's own line says, and with the client's address.
    for name in ("uvicorn.access", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").addFilter(_is_no_connection)


def _is_no_connection(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's lines about each WebSocket, which name the client's address and the options."""
    message = record.getMessage()
    return record.levelno > logging.INFO or not ('"WebSocket ' in message or message.startswith("connection "))
