"""Sessions over ONNX Runtime: providers, threads, named inputs to named outputs.

The one module that imports ONNX Runtime, after `mien` has switched its telemetry off: others ask here for its parts.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from mien.artifact.onnx_file import require_whole, with_output
from mien.errors import ArtifactError, ConfigError, MissingExtraError

Array = npt.NDArray[Any]

VERSION: str = ort.__version__
"""ONNX Runtime's."""

DEFAULT_THREADS = 4
"""A 48×48 crop gains nothing from more."""

_ERRORS_ONLY = 3
# ONNX Runtime's exceptions have no base in common but Exception.
_FOREIGN = (
    ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented, ort_errors.RuntimeException, ort_errors.EPFail,
    # A message that quotes a damaged graph is no UTF-8.
    UnicodeDecodeError,
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph: dtype as ONNX Runtime has it (`uint8`, `float`), None if free."""

    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join('N' if side is None else str(side) for side in self.shape)})"


class Session:
    """A graph ready to run. It can be pickled and copied, and used in a process that was forked after it was loaded.

    ONNX Runtime's own session can do neither: its threads are missing in a fork, where it hangs when it is destroyed.
    So the graph's bytes are kept, and a session is made from them wherever there is none yet.

    Args:
        graph: the bytes of an ONNX file.
        providers: execution providers, first choice first; default `MIEN_PROVIDERS` (comma list), else CPU.
        threads: threads within one operation; default `OMP_NUM_THREADS`, else the machine's cores up to 4.

    Raises:
        ArtifactError: the bytes are no graph that this ONNX Runtime can load, or it keeps weights in other files.
        ConfigError: an unknown provider, or an invalid number of threads.
    """

    def __init__(self, graph: bytes, *, providers: Sequence[str] | None = None, threads: int | None = None) -> None:
        self._graph, self._chosen, self._threads = graph, choose_providers(providers), choose_threads(threads)
        self._lock = threading.Lock()
        require_whole(graph)
        self._session: ort.InferenceSession | None = self._create()
        self.inputs = {node.name: _tensor(node) for node in self._session.get_inputs()}
        self.outputs = {node.name: _tensor(node) for node in self._session.get_outputs()}
        _SESSIONS.add(self)

    def _create(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Waiting threads sleep: 0.3 ms more for a crop (2.0 against 1.6), and none of a core when idle.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The bytes are an ONNX file and nothing else, and files that it names are looked for where none can be.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            # Without the fallback, which prints, and tries the same provider again.
            return ort.InferenceSession(self._graph, options, providers=self._chosen, enable_fallback=0)
        except _FOREIGN as error:
            raise ArtifactError(f"ONNX Runtime {ort.__version__} cannot load the graph: {error}") from error

    def _ready(self) -> ort.InferenceSession:
        """This process's session."""
        session = self._session
        if session is None:
            with self._lock:
                # In a forked child, two threads may get here at once; one session is enough.
                session = self._session = self._session or self._create()
        return session

    def _abandon(self) -> None:
        """In a forked child: let the inherited session be, for ever: destroying it waits for threads that are gone."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        # A thread of the parent may have held the old lock at the fork; nobody would release it here.
        self._session, self._lock = None, threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle passes arguments by position only, so the keywords travel in a partial.
        return functools.partial(Session, self._graph, providers=self._chosen, threads=self._threads), ()

    def with_output(self, name: str) -> Session:
        """A session on the same graph that also gives one of its tensors.

        Raises:
            ArtifactError: the graph has no such tensor.
        """
        return Session(with_output(self._graph, name), providers=self._chosen, threads=self._threads)

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, first choice first."""
        return tuple(self._ready().get_providers())

    def require(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """Check that the graph has just these inputs and outputs.

        Raises:
            ArtifactError: naming what was expected and what the graph has.
        """
        for kind, expected, found in (("input", inputs, self.inputs), ("output", outputs, self.outputs)):
            if found != dict(expected):
                raise ArtifactError(
                    f"the graph does not fit its manifest: expected {kind} {_listed(expected)}, it has {_listed(found)}"
                )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once: arrays by input name to arrays by output name.

        Raises:
            ArtifactError: the graph cannot run on these arrays.
        """
        try:
            values = self._ready().run(list(self.outputs), dict(inputs))
        except _FOREIGN as error:
            raise ArtifactError(f"the graph failed to run: {error}") from error
        return {name: np.asarray(value) for name, value in zip(self.outputs, values, strict=True)}


# Weak, so that the list keeps no session alive.
_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _abandon_sessions() -> None:
    for session in list(_SESSIONS):
        session._abandon()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_sessions)


def choose_providers(names: Sequence[str] | None = None) -> list[str]:
    """The execution providers to use: the argument, else `MIEN_PROVIDERS`, else the CPU.

    `cuda` stands for `CUDAExecutionProvider`, and so on.

    Raises:
        ConfigError: naming those that this ONNX Runtime has.
    """
    if names is None:
        names = [name for name in os.environ.get("MIEN_PROVIDERS", "").split(",") if name.strip()]
    available = {_short(name): name for name in ort.get_available_providers()}
    chosen = []
    for name in names or ["cpu"]:
        if _short(name) not in available:
            raise ConfigError(
                f"unknown execution provider {name.strip()!r}: this ONNX Runtime has {', '.join(available)}"
            )
        chosen.append(available[_short(name)])
    return chosen


def list_providers() -> list[str]:
    """Short names of the execution providers that this ONNX Runtime has."""
    return [_short(name) for name in ort.get_available_providers()]


def to_ort_format(graph: bytes) -> bytes:
    """An ONNX file's bytes in ONNX Runtime's own format, optimized for any processor.

    Raises:
        ArtifactError: the bytes are no graph that this ONNX Runtime can load, or it keeps weights in other files.
    """
    import tempfile

    require_whole(graph)
    with tempfile.TemporaryDirectory() as place:
        target = Path(place, "model.ort")
        options = _plain_options()
        # "All" would choose layouts for the processor that it runs on.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(target)
        options.add_session_config_entry("session.save_model_format", "ORT")
        try:
            ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except _FOREIGN as error:
            raise ArtifactError(f"ONNX Runtime {ort.__version__} cannot convert the graph: {error}") from error
        return target.read_bytes()


def run_ort_format(content: bytes, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """Outputs by name, and the metadata, of a file in ONNX Runtime's own format that Mien has just written."""
    options = _plain_options()
    options.add_session_config_entry("session.load_model_format", "ORT")
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    values = session.run(names, dict(inputs))
    found = {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
    return found, dict(session.get_modelmeta().custom_metadata_map)


def _plain_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def load_quantizer() -> Any:
    """The module `onnxruntime.quantization`; it needs onnx.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    return quantization


def choose_threads(threads: int | None = None) -> int:
    """How many threads to use: the argument, else `OMP_NUM_THREADS`, else the machine's cores up to 4.

    Raises:
        ConfigError: for a number below 1.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").strip() if threads is None else str(threads)
    if not wanted:
        return min(DEFAULT_THREADS, os.cpu_count() or 1)
    # OMP_NUM_THREADS may list one number a nesting level: the first is the outer one.
    first = wanted.split(",")[0]
    if not first.isdecimal() or int(first) < 1:
        raise ConfigError(f"threads (or OMP_NUM_THREADS) is a number from 1, not {wanted!r}")
    return int(first)


def _short(provider: str) -> str:
    return provider.strip().removesuffix("ExecutionProvider").lower()


def _tensor(node: Any) -> Tensor:
    dtype = str(node.type).removeprefix("tensor(").removesuffix(")")
    # A free side is a name or None in ONNX Runtime.
    return Tensor(dtype, tuple(side if isinstance(side, int) else None for side in node.shape))


def _listed(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name}: {tensor}" for name, tensor in tensors.items()) or "none"
