"""`python -m mien` is the command `mien`."""

from mien.apps.cli.main import main

main()
