from __future__ import annotations

import errno
import json
import os
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from runs import EPOCHS, STEPS, assert_same_run, run, small_config
from stripes import make_dataset

from mien.errors import ArtifactError, ConfigError, OutputError, TrainingError
from mien.workshop.networks.checkpoint import load_header, load_tensors, save_tensors
from mien.workshop.training import fit as module
from mien.workshop.training.fit import BEST, HISTORY, LAST, iter_epochs
from mien.workshop.training.run_folder import LOCK, hold
from mien.workshop.training.state import draw_seed


class Killed(BaseException):
    """Nothing of Mien's catches this, like a kill."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has disturbed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    torch.set_num_threads(threads)
    return folder


def test_killed_in_random_steps_is_bit_equal_to_uninterrupted(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = secrets.randbelow(1 << 32)
    draw = random.Random(seed)
    stops = [epoch * STEPS + draw.randrange(STEPS) for epoch in sorted(draw.sample(range(EPOCHS), 3))]
    compute = module.total_loss
    for stop in stops:
        first = STEPS * (load_header(tmp_path / LAST)["epoch"] if (tmp_path / LAST).exists() else 0)
        steps = iter(range(first, EPOCHS * STEPS))

        def loss(*arguments: Any, steps: Iterator[int] = steps, stop: int = stop, **options: Any) -> Any:
            if next(steps) == stop:
                raise Killed
            return compute(*arguments, **options)

        monkeypatch.setattr(module, "total_loss", loss)
        with pytest.raises(Killed):
            run(tmp_path)
        assert load_header(tmp_path / LAST)["epoch"] == stop // STEPS if stop >= STEPS else not list(tmp_path.iterdir())
    monkeypatch.setattr(module, "total_loss", compute)
    run(tmp_path)
    print(f"steps {stops} from the seed {seed}")  # noqa: T201
    assert_same_run(tmp_path, whole)


def test_one_process_at_a_time_and_on_after_kill_9(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stop, here = STEPS + secrets.randbelow(STEPS), Path(__file__).parent
    script = (
        "import sys, torch; from pathlib import Path; sys.path[:0] = sys.argv[2:4]; torch.set_num_threads(1)\n"
        "from runs import stop_in_step; stop_in_step(Path(sys.argv[1]), int(sys.argv[4]))\n"
    )
    arguments = [sys.executable, "-c", script, str(folder), str(here), str(here.parents[1]), str(stop)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read(5) == b"there"
        with pytest.raises(ConfigError, match=rf"another process \(pid {child.pid}\) is training in .*run"):
            run(folder)
        child.kill()
    assert (folder / LOCK).exists()
    run(folder)
    assert_same_run(folder, whole)


def test_a_folder_is_free_again_when_its_training_is_given_up(tmp_path: Path) -> None:
    epochs = iter_epochs(small_config(), make_dataset(), tmp_path, device="cpu")
    next(epochs)
    with pytest.raises(ConfigError, match="this process is training in"):
        run(tmp_path)
    epochs.close()
    assert len(run(tmp_path, stop_after=1).history) == 2


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    # Root may write whatever the mode of a folder is, but not into the kernel's.
    folder = tmp_path if os.geteuid() else Path("/sys/kernel")
    if not folder.is_dir():
        pytest.skip("no folder here that root cannot write to")
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=rf"cannot write to the run's folder {folder}: .*give another --out"):
        run(folder)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("before", range(9))
def test_killed_between_two_writes_ends_like_uninterrupted(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    replace, written = Path.replace, []

    def dying(self: Path, target: Path) -> Path:
        if len(written) == before:
            raise Killed
        written.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        # Who is killed does not tidy up.
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(Killed):
            run(tmp_path)
    assert list(tmp_path.glob("*.part"))
    run(tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_finished_run_is_mended_too(whole: Path, tmp_path: Path) -> None:
    for name in (LAST, BEST):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    assert run(tmp_path).history == json.loads((whole / HISTORY).read_text())["history"]
    assert_same_run(tmp_path, whole)


def test_a_best_network_that_is_gone_is_told(tmp_path: Path) -> None:
    config = small_config(optim={"lr": 1e-12})
    assert run(tmp_path, config, stop_after=2).best_epoch == 0
    best = (tmp_path / BEST).read_bytes()
    (tmp_path / BEST).unlink()
    with pytest.raises(ArtifactError, match=r"best\.safetensors should hold epoch 1 of the run"):
        run(tmp_path, config)
    (tmp_path / BEST).write_bytes(best)
    (tmp_path / LAST).unlink()
    with pytest.raises(ConfigError, match=r"holds a best\.safetensors but no last\.safetensors"):
        run(tmp_path, config)
    assert (tmp_path / BEST).read_bytes() == best


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow above so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_epoch_whole(whole: Path, tmp_path: Path) -> None:
    run(tmp_path, stop_after=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    needed = len(before[LAST])
    message = r"cannot write .*last\.safetensors: File too large; it needs [\d,]+ bytes and [\d,]+ are free\. The older"
    with largest_file(needed // 2), pytest.raises(TrainingError, match=message):
        run(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(tmp_path)
    assert_same_run(tmp_path, whole)


@pytest.mark.parametrize("name", [LAST, BEST, HISTORY])
def test_each_file_that_cannot_be_written_is_named_and_made_up_for(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    epochs = iter_epochs(small_config(), make_dataset(), tmp_path, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refusing)
        with pytest.raises(TrainingError, match=rf"cannot write .*{name}: .*Nothing was left of it: make room"):
            next(epochs)
    run(tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_run_from_before_a_key_of_the_configuration_goes_on(whole: Path, tmp_path: Path) -> None:
    run(tmp_path, stop_after=1)
    tensors, header = load_tensors(tmp_path / LAST)
    config = header["identity"]["config"]
    del config["heads"]["focal"], config["fit"]["patience"]
    save_tensors(tmp_path / LAST, tensors, header)
    with pytest.raises(ConfigError, match=r"config\.heads\.focal was 0\.0, now 2\.0"):
        run(tmp_path, small_config(heads={"focal": 2.0}))
    config["fit"]["given_up"] = 1
    save_tensors(tmp_path / LAST, tensors, header)
    with pytest.raises(ConfigError, match=r"config\.fit\.given_up was 1, now None"):
        run(tmp_path)
    del config["fit"]["given_up"]
    save_tensors(tmp_path / LAST, tensors, header)
    run(tmp_path)
    assert_same_run(tmp_path, whole)


def test_the_lock_goes_with_what_it_was_for(tmp_path: Path) -> None:
    with hold(tmp_path / "new" / "run"):
        assert (tmp_path / "new/run" / LOCK).read_text() == str(os.getpid())
    assert not (tmp_path / "new").exists()


def test_a_lock_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left"), hold(tmp_path / "new" / "run"):
        pass
    assert not (tmp_path / "new").exists()


def test_random_numbers_come_from_the_seed_and_the_first_weights() -> None:
    bare = {"config": {"fit": {"seed": 5}}}
    seeds = [draw_seed(bare | {"weights": weights}) for weights in ("a1", "b2")]
    assert draw_seed(bare) == 5
    assert len({5, *seeds}) == 3
    assert draw_seed({"config": {"fit": {"seed": 6}}, "weights": "a1"}) not in seeds
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_pieces_that_a_killed_run_left_are_removed_and_nothing_else(tmp_path: Path) -> None:
    pieces = [tmp_path / f".{name}.0a1b2c3d.part" for name in ("last.safetensors", "history.json", "curves.png")]
    others = [tmp_path / ".notes.txt.0a1b2c3d.part", tmp_path / "curves.png"]
    for path in (*pieces, *others):
        path.write_bytes(b"")
    with hold(tmp_path):
        assert not any(path.exists() for path in pieces)
    assert all(path.exists() for path in others)
