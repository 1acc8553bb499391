"""The evaluation as one HTML page: self-contained, drawn with inline SVG, without a script."""
