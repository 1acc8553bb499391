"""ONNX graphs made smaller and quicker: means as pooling, weights as float16, int8 by calibration faces."""

from __future__ import annotations
