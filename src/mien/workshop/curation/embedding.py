"""What a model makes of a picture on the way to its answer: the numbers in which pictures are compared."""

from __future__ import annotations
