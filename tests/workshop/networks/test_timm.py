from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("timm", reason='needs pip install "mien[train]"')

from mien.artifact.input import InputSpec
from mien.errors import ConfigError, MissingExtraError
from mien.workshop.networks import timm_body
from mien.workshop.networks.architectures import create_network

SMALL = {"channels": [8, 8, 8, 8], "layers": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("timm:resnet18", SMALL),
        ("timm:vit_tiny_patch16_224", {"depth": 1}),
        ("vgg", {"widths": [4, 4], "depths": [1, 1], "dense": [8]}),
        ("shallow_cnn", {"widths": [4, 4], "dense": 8}),
        ("custom_cnn", {"widths": [4, 4], "dense": 8}),
        ("se_resnet", {"widths": [4, 4], "depths": [1, 1]}),
    ],
)
@pytest.mark.parametrize("size", [64, 96, 224])
def test_takes_larger_faces(arch: str, options: dict[str, Any], size: int) -> None:
    network = create_network(arch, spec=InputSpec(size, size), heads=("fer2013",), **options).eval()
    assert network(torch.zeros(1, 1, size, size))["fer2013"].shape == (1, 7)


def test_options_reach_timm() -> None:
    network = create_network("timm:resnet18", **SMALL, drop_rate=0.5, drop_path_rate=0.2)
    assert network.body.net.drop_rate == 0.5
    assert network.heads["crowd"].in_features == 8
    again = create_network("timm:vit_tiny_patch16_224", depth=2, patch_size=8)
    assert len(again.body.net.blocks) == 2
    assert again.body.net.patch_embed.num_patches == 36


def test_timm_keeps_its_own_first_weights() -> None:
    network = create_network("timm:resnet18", **SMALL)
    assert not network.body.net.layer1[0].bn2.weight.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "timm:resnet19"}, "timm has no model 'resnet19': did you mean timm:resnet"),
        ({"arch": "timm:"}, r"timm has no model ''"),
        ({"arch": "timm:local-dir:/tmp/resnet18"}, "timm has no model 'local-dir:/tmp/resnet18'"),
        ({"arch": "timm:hf-hub:timm/resnet18"}, "timm has no model 'hf-hub:timm/resnet18'"),
        ({"arch": "timm:resnet18.nobody"}, r"timm:resnet18\.nobody cannot be built for 48×48 pixels"),
        ({"arch": "timm:resnet18", "wings": 2}, "cannot be built .*unexpected keyword argument 'wings'"),
        ({"arch": "timm:resnet18", "checkpoint_path": "a.pth"}, "takes no option 'checkpoint_path': give .*weights"),
        ({"arch": "timm:resnet18", "pretrained": True}, r"takes no option 'pretrained': give \[model\] pretrained"),
        ({"arch": "timm:resnet18", "in_chans": 1}, r"takes no option 'in_chans': give \[model\] channels"),
        ({"arch": "timm:vit_tiny_patch16_224", "patch_size": 100}, "cannot be built for 48×48 pixels"),
    ],
)
def test_bad_names_and_options_are_refused_in_words(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_network(**arguments)


def test_without_timm_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_body, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'needs timm, which is not installed: pip install "mien\[train\]"'):
        create_network("timm:resnet18")
