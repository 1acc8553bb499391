from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from runs import run, small_config
from stripes import make_dataset

from mien.errors import TrainingError
from mien.workshop.networks.cnn import ShallowCNN
from mien.workshop.training import fit as module
from mien.workshop.training.objective import Judge

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


def test_a_poisoned_row_is_among_those_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_dataset()
    rows = data.part("train")
    data.labels[np.flatnonzero(data.split == 0)[:5]] = -1
    data.votes[np.flatnonzero(data.split == 0)[:5]] = 0  # type: ignore[index]
    original = module.make_batches

    def poisoned(*arguments: Any) -> Any:
        batches = original(*arguments)
        batches.targets["crowd"][batches.numbers == 77] = float("nan")
        return batches

    config = small_config(augment={"mixup": 0, "cutmix": 0})
    module.fit(config, data, tmp_path, device="cpu", stop_after=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(module, "make_batches", poisoned)
    with pytest.raises(TrainingError) as caught:
        module.fit(config, data, tmp_path, device="cpu")
    monkeypatch.setattr(module, "make_batches", original)
    found = json.loads((tmp_path / "not-finite.json").read_text())
    assert found["epoch"] > 1
    assert 77 in found["rows"]
    assert found["ids"] == rows.ids[found["rows"]].tolist()
    assert len(found["rows"]) == 16
    named = ", ".join(map(str, found["rows"][:10]))
    assert f"at step {found['step']} of 6 of epoch 2, on the training rows {named} and 6 more (listed in" in str(
        caught.value
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "not-finite.json"} == before
    module.fit(config, data, tmp_path, device="cpu")
    assert not (tmp_path / "not-finite.json").exists()


def test_weights_that_break_in_the_last_step_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Judge.measure

    def broken(self: Judge, weights: dict[str, Any]) -> dict[str, float]:
        return measure(self, {key: torch.full_like(value, float("nan")) for key, value in weights.items()})

    monkeypatch.setattr(Judge, "measure", broken)
    with pytest.raises(TrainingError, match=r"weights were no longer numbers after step 7 of 7 of epoch 1"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["not-finite.json"]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(f"{CPU} 9 bytes."), MemoryError()]
)
@pytest.mark.parametrize(("most", "advice"), [(10, "8 fits"), (32, "32 fits"), (1, "not even 2 fit")])
def test_the_largest_batch_that_fits_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, most: int, advice: str
) -> None:
    forward = ShallowCNN.forward

    def limited(self: ShallowCNN, x: Any) -> Any:
        if len(x) > most:
            raise error
        return forward(self, x)

    monkeypatch.setattr(ShallowCNN, "forward", limited)
    with pytest.raises(TrainingError, match=rf"memory is too small for fit\.batch_size = 56: {advice}"):
        run(tmp_path, small_config(fit={"batch_size": 56}))
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_taken_for_a_full_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: ShallowCNN, x: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(ShallowCNN, "forward", wrong)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_a_cpu_without_memory_says_what_fits(tmp_path: Path) -> None:
    script = (
        "import sys, resource, torch; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "torch.set_num_threads(1)\n"
        "from runs import run, small_config; from stripes import make_dataset\n"
        "from mien.workshop.training.fit import fit\n"
        "from mien.errors import TrainingError\n"
        "run(Path(sys.argv[1]) / 'first', stop_after=1)\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)\n"
        "wide = {'arch': 'shallow_cnn', 'options': {'widths': [64], 'dense': 8}, 'size': 48}\n"
        "config = small_config(model=wide, fit={'batch_size': 1024})\n"
        "try: fit(config, make_dataset(1400), Path(sys.argv[1]) / 'run', device='cpu')\n"
        "except TrainingError as error: print(error)\n"
    )
    here = Path(__file__).parent
    arguments = [sys.executable, "-c", script, str(tmp_path), str(here), str(here.parents[1])]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert "memory is too small for fit.batch_size = 1024" in output
    fits = int(output.split("1024: ")[1].split(" fits")[0])
    assert fits in (16, 32, 64, 128, 256)
