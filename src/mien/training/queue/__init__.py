"""Experiments for a machine with an accelerator: packed here, run there in pieces, taken home again."""
