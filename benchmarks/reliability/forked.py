"""Commands in forked processes that have their modules already, so that a kill meets the work and not its imports."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

PIECE_S = 0.02


class Forked:
    """A function in a process of its own, in a folder; what it says on stderr is kept, on stdout not."""

    def __init__(self, work: Callable[[], object], folder: Path) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._modules = tempfile.TemporaryFile("w+")  # noqa: SIM115
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os._exit(self._run(work, folder))

    def _run(self, work: Callable[[], object], folder: Path) -> int:
        code = 1
        # Those of the parent, which remove its temporary folders.
        atexit._clear()
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(self._stderr.fileno(), 2)
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            self._modules.write("\n".join(sys.modules))
            self._modules.flush()
            sys.stderr.flush()
        return code

    def wait(self, patience_s: float) -> int | None:
        """Its exit code; None if it is still at work after so many seconds."""
        until = time.monotonic() + patience_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                return None
            time.sleep(PIECE_S)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    @property
    def stderr(self) -> str:
        """What it has said."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def import_its_modules(self) -> None:
        """Have in this process, and whatever is forked from it, what it had imported in the end."""
        self._modules.seek(0)
        for name in self._modules.read().split():
            if name not in sys.modules and name != "__main__":
                try:
                    importlib.import_module(name)
                # A module that only its package may import is imported by that.
                except Exception:
                    continue
