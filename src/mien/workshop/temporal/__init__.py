"""Teaches models that read a face over time: from clips to an artifact that streams.

`sequences` brings clips to steps of a fixed rate, described by the frame network or as crops. `batches` cuts, fills and
changes them. `networks` and `training` make the model, `export` writes it with its state as inputs and outputs,
`evaluation` reads whole clips with it as a stream is read, beside the best smoothing, and `report` shows both.
"""
