"""`mien doctor`: versions, model, detector, and where things are kept."""

from __future__ import annotations
