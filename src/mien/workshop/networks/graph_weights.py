"""The weights of an exported graph put back into the network that it came from, to be trained further."""

from __future__ import annotations
