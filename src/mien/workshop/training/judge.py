"""Measures a network on the validation split, by which the best epoch is chosen."""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from mien.artifact.input import prepare
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.ferplus import majority
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.losses import class_weights, make_targets, total_loss


class Judge:
    """Loss, accuracy of each head, and the score of the averaged weights on the validation split.

    Args:
        network: a copy to load the weights into.
        dataset: its validation rows are used, FER2013's PublicTest.
        config: which heads count, and which of them select.
        fabric: for its precision.
    """

    def __init__(self, network: nn.Module, dataset: FaceDataset, config: TrainingConfig, fabric: Fabric) -> None:
        rows = dataset.part("validation")
        self.network = network.eval()
        self.faces = torch.from_numpy(prepare(rows.images, config.model.spec)).to(fabric.device)
        self.batch_size = 256 if fabric.device.type == "cpu" else 1024
        self.targets = make_targets(rows, config, weights=class_weights(dataset.part("train").labels, config.heads))
        self.truth = {"fer2013": rows.labels}
        if rows.votes is not None:
            self.truth["crowd"] = majority(rows.votes)
        self.config = config
        self.fabric = fabric

    def measure(self, weights: dict[str, torch.Tensor]) -> dict[str, float]:
        """`loss`, an accuracy in 0–1 for each head, and `score`, by which the best epoch is chosen.

        The crowd head's accuracy is on the rows on which the annotators have a majority.
        """
        self.network.load_state_dict(weights)
        with self.fabric.autocast():
            logits = predict_logits(self.network, self.faces, batch_size=self.batch_size)
        heads = self.config.heads
        found = {"loss": float(total_loss(logits, self.targets, heads.weights, focal=heads.focal))}
        for head, values in logits.items():
            known = self.truth[head] >= 0
            if known.any():
                found[head] = float(np.mean(values.argmax(dim=1).numpy()[known] == self.truth[head][known]))
        selecting = tuple(logits) if self.config.fit.selection == "mean" else (self.config.fit.selection,)
        found["score"] = sum(found.get(head, 0.0) for head in selecting) / len(selecting)
        return found


@torch.no_grad()
def predict_logits(network: nn.Module, faces: torch.Tensor, *, batch_size: int = 256) -> dict[str, torch.Tensor]:
    """Logits of every head for faces uint8 (N, C, H, W), on the CPU as float32 (N, K)."""
    device = next(network.parameters()).device
    parts = [network(batch.to(device)) for batch in torch.split(faces, batch_size)]
    return {head: torch.cat([part[head].float() for part in parts]).cpu() for head in parts[0]}
