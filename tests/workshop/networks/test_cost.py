from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from torch import nn

from mien.artifact.input import InputSpec
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.network import count_macs, measure_ms


def test_macs_of_a_net_counted_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    first = 48 * 48 * 4 * (1 * 3 * 3)
    grouped = 24 * 24 * 8 * (2 * 3 * 3)
    assert count_macs(network, InputSpec()) == first + grouped + 8 * 5


def test_a_layer_that_runs_twice_counts_twice() -> None:
    layer = nn.Conv2d(3, 3, 1)
    assert count_macs(nn.Sequential(layer, layer), InputSpec(64, 32, 3)) == 2 * 64 * 32 * 3 * 3


def test_the_heads_count() -> None:
    both, one = (create_network("shallow_cnn", heads=heads) for heads in (("fer2013", "crowd"), ("fer2013",)))
    assert count_macs(both, InputSpec()) - count_macs(one, InputSpec()) == 128 * 8


def test_measuring_leaves_the_network_and_the_threads_as_they_were() -> None:
    network, threads = create_network("shallow_cnn", widths=[4], dense=8).train(), torch.get_num_threads()
    assert count_macs(network, InputSpec()) > 0
    assert 0 < measure_ms(network, InputSpec(), runs=2) < 1000
    assert network.training
    assert torch.get_num_threads() == threads
    assert not any(module._forward_hooks for module in network.modules())
