"""Makes `fakes` and `made_up` importable from the folders below."""
