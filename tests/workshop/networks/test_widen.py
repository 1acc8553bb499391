"""A wider network that starts from a narrower one computes the same, and learns with what is new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ConfigError
from mien.workshop.networks.factory import create_network
from mien.workshop.networks.network import Network
from mien.workshop.networks.widen import widen

FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "se_resnet": ({"widths": [8, 16], "depths": [2, 1]}, {"widths": [12, 40], "depths": [2, 1]}),
    "resnet": ({"widths": [8, 16], "depths": [1, 1]}, {"widths": [9, 20], "depths": [1, 1]}),
    "vgg": ({"widths": [8, 16], "depths": [1, 1], "dense": [32]}, {"widths": [8, 24], "depths": [1, 1], "dense": [40]}),
}


def make_faces(count: int = 16) -> Any:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 1, 48, 48), dtype=np.uint8))


def trained(arch: str, options: dict[str, Any]) -> Network:
    """A network whose batch norms are not those of a new one."""
    torch.manual_seed(0)
    network = create_network(arch, **options)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    for _ in range(4):
        sum(values.square().mean() for values in network(make_faces()).values()).backward()
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize("arch", FAMILIES)
def test_the_wide_network_computes_what_the_narrow_one_does(arch: str) -> None:
    small, large = FAMILIES[arch]
    narrow, wide = trained(arch, small), create_network(arch, **large)
    widen(wide, narrow, make_faces())
    fresh = make_faces(24)[16:]
    with torch.no_grad():
        wanted, found = narrow(fresh), wide.eval()(fresh)
    assert all(torch.allclose(found[head], wanted[head], atol=1e-4) for head in wanted)
    assert sum(p.numel() for p in wide.parameters()) > sum(p.numel() for p in narrow.parameters())


def test_what_is_new_sees_at_once_and_is_heard_after_the_first_step() -> None:
    small, large = FAMILIES["se_resnet"]
    wide = create_network("se_resnet", **large)
    widen(wide, trained("se_resnet", small), make_faces())
    stem = wide.body.stem[0].weight
    assert stem[8:].abs().min() > 0
    into_old = wide.body.stages[0].residual[0].weight[:8, 8:]
    assert not into_old.any()
    sum(values.square().mean() for values in wide.train()(make_faces()).values()).backward()
    torch.optim.SGD(wide.parameters(), lr=0.1).step()
    assert into_old.all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"widths": [4, 16], "depths": [2, 1]}, r"body\.stem\.0\.weight \(\(8, 1, 3, 3\) in the trained"),
        ({"widths": [8, 16], "depths": [1, 1]}, r"missing in the trained"),
        ({"widths": [8, 16], "depths": [2, 1], "attention": "none"}, r"missing in the new"),
    ],
)
def test_what_cannot_be_widened_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        widen(create_network("se_resnet", **options), trained("se_resnet", FAMILIES["se_resnet"][0]), make_faces())


def test_a_network_that_computes_something_else_is_refused() -> None:
    """The stride of the stem is in no weight."""
    small, large = FAMILIES["se_resnet"]
    with pytest.raises(ConfigError, match="computes something else"):
        widen(create_network("se_resnet", stem_stride=2, **large), trained("se_resnet", small), make_faces())


def test_modes_are_left_as_they_were() -> None:
    small, large = FAMILIES["se_resnet"]
    narrow, wide = trained("se_resnet", small), create_network("se_resnet", **large)
    widen(wide.train(), narrow, make_faces())
    assert wide.training
    assert not narrow.training
