"""These tests open no socket."""

from sockets import opens_no_socket

__all__ = ["opens_no_socket"]
