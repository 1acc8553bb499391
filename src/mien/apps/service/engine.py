"""The reading behind the routes: models that are loaded once, threads that find faces, batches that classify them."""

from __future__ import annotations
