"""Networks that read steps of time, each with its state in and out: recurrent, convolutions over steps, over crops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn

from mien.artifact.input import InputSpec
from mien.workshop.networks.network import FER2013_MEAN, FER2013_STD, Normalize
from mien.workshop.temporal.clip_config import ModelConfig

State = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """GRU or LSTM layers over (N, T, F); with both directions its answers need the whole of a clip."""

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        kind = nn.GRU if config.kind == "gru" else nn.LSTM
        self.directions = 1 if config.causal else 2
        self.enter = nn.Sequential(nn.Linear(features, config.width), nn.LayerNorm(config.width), nn.GELU())
        self.layers = kind(
            config.width, config.width, config.layers, batch_first=True, bidirectional=not config.causal,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )  # fmt: skip
        self.features = self.directions * config.width
        parts = 1 if config.kind == "gru" else 2
        self.states = ((config.layers, config.width),) * (parts if config.causal else 0)

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Steps (N, T, F) and the state before them, (N, layers, width) each, to features and the state after."""
        # Faces first, as everywhere else: torch has the layers first.
        before = tuple(part.transpose(0, 1).contiguous() for part in state)
        given = None if not before else before[0] if len(before) == 1 else before
        steps = self.enter(x)
        if self.directions == 2 and lengths is not None:
            # Backwards, it must begin with the last step of the clip and not with what fills it up.
            packed = rnn.pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
            return rnn.pad_packed_sequence(self.layers(packed)[0], batch_first=True, total_length=x.shape[1])[0], ()
        found, after = self.layers(steps, given)
        if not state:
            return found, ()
        parts = after if isinstance(after, tuple) else (after,)
        return found, tuple(part.transpose(0, 1) for part in parts)


class Convolutions(nn.Module):
    """A temporal convolutional network (Bai et al. 2018) over (N, T, F): blocks of ever wider steps."""

    def __init__(self, config: ModelConfig, features: int) -> None:
        super().__init__()
        self.enter = nn.Linear(features, config.width)
        blocks = [_Block(config, 2**number) for number in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.features = config.width
        self.states = tuple((block.memory, config.width) for block in blocks) if config.causal else ()

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """As `Recurrent.forward`; a state holds the last steps that a block's convolution reaches back to."""
        x, there = self.enter(x), _mask(x, lengths)
        after = []
        for number, block in enumerate(self.blocks):
            x, kept = block(x, state[number] if state else None, there)
            after.append(kept)
        return x, tuple(after) if state else ()


class _Block(nn.Module):
    def __init__(self, config: ModelConfig, dilation: int) -> None:
        super().__init__()
        self.memory = (config.kernel - 1) * dilation
        self.norm = nn.LayerNorm(config.width)
        self.mix = nn.Conv1d(config.width, config.width, config.kernel, dilation=dilation)
        self.out = nn.Sequential(nn.GELU(), nn.Dropout(config.dropout), nn.Linear(config.width, config.width))

    def forward(self, x: Tensor, before: Tensor | None, there: Tensor | None) -> tuple[Tensor, Tensor]:
        known = self.norm(x) if there is None else self.norm(x) * there[:, :, None]
        side = self.memory // 2
        # Without a state both sides are filled up with nothing, and the answer is of the middle.
        padded = functional.pad(known, (0, 0, side, side)) if before is None else torch.cat([before, known], dim=1)
        mixed = self.mix(padded.transpose(1, 2)).transpose(1, 2)
        return x + self.out(mixed), padded[:, padded.shape[1] - self.memory :]


class CropConvolutions(nn.Module):
    """A small network of (2+1)-dimensional convolutions (Tran et al. 2018) over face crops (N, T, C, H, W).

    Norms are of each step alone, so that a stream gives what the whole clip gives.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec) -> None:
        super().__init__()
        self.normalize = Normalize(FER2013_MEAN, FER2013_STD)
        widths = [max(4, config.width >> max(0, config.layers - number)) for number in range(config.layers + 1)]
        self.stem = nn.Conv2d(spec.channels, widths[0], 5, stride=2, padding=2, bias=False)
        blocks, side = [], -(-spec.height // 2)
        states = []
        for before, after in itertools.pairwise(widths):
            side = -(-side // 2)
            blocks.append(_CropBlock(before, after, config))
            states.append((config.kernel - 1, after, side, side))
        self.blocks = nn.ModuleList(blocks)
        self.features = widths[-1]
        self.states = tuple(states) if config.causal else ()

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Crops (N, T, C, H, W), values 0–255, and the state before them, to features (N, T, F) and the state after."""
        count, steps = x.shape[:2]
        faces = self.stem(self.normalize(x.flatten(0, 1).float()))
        after, there = [], _mask(x, lengths)
        for number, block in enumerate(self.blocks):
            faces, kept = block(faces, (count, steps), state[number] if state else None, there)
            after.append(kept)
        return faces.mean((2, 3)).unflatten(0, (count, steps)), tuple(after) if state else ()


class _CropBlock(nn.Module):
    def __init__(self, before: int, after: int, config: ModelConfig) -> None:
        super().__init__()
        self.kernel = config.kernel
        self.spatial = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.first = nn.GroupNorm(_groups(after), after)
        # One product a step of the kernel: a convolution over time alone, as a sum over shifted steps.
        self.temporal = nn.Linear(after * config.kernel, after, bias=False)
        self.second = nn.GroupNorm(_groups(after), after)
        self.drop = nn.Dropout2d(config.dropout / 2)

    def forward(
        self, x: Tensor, sizes: tuple[int, int], before: Tensor | None, there: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        seen = functional.gelu(self.first(self.spatial(x)))
        seen = seen.reshape(*sizes, *seen.shape[1:])
        if there is not None:
            seen = seen * there[:, :, None, None, None]
        reach = self.kernel - 1
        side = reach // 2
        ends = (0, 0, 0, 0, 0, 0, side, side)
        padded = functional.pad(seen, ends) if before is None else torch.cat([before, seen], dim=1)
        windows = torch.cat([padded[:, at : at + sizes[1]] for at in range(self.kernel)], dim=2)
        mixed = self.temporal(windows.movedim(2, -1)).movedim(-1, 2)
        out = functional.gelu(self.second((seen + mixed).flatten(0, 1)))
        return self.drop(out), padded[:, padded.shape[1] - reach :]


def _mask(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """1 for the steps of each clip and 0 for what fills it up, (N, T)."""
    if lengths is None:
        return None
    return (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).to(torch.float32)


def _groups(channels: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)


@dataclass(frozen=True)
class Inputs:
    """What a step is given as.

    Args:
        features: values a step from the frame network; 0 where crops are read.
        spec: the crops, as the frame network takes them.
    """

    features: int
    spec: InputSpec


class TemporalNetwork(nn.Module):
    """Steps in, logits and values of every step out, with the state before and after.

    Args:
        config: which network.
        inputs: what a step is.
        classes: number of labels, 0 for none.
        values: number of values in −1 to 1 (valence and arousal), 0 for none.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, inputs: Inputs, *, classes: int, values: int) -> None:
        super().__init__()
        self.reads_crops = config.kind == "r2plus1d"
        spec = inputs.spec
        self.example_shape = (spec.channels, spec.height, spec.width) if self.reads_crops else (inputs.features,)
        self.core: Recurrent | Convolutions | CropConvolutions
        if self.reads_crops:
            self.core = CropConvolutions(config, inputs.spec)
        else:
            kind = Convolutions if config.kind == "tcn" else Recurrent
            self.core = kind(config, inputs.features)
        self.register_buffer("mean", torch.zeros(inputs.features))
        self.register_buffer("std", torch.ones(inputs.features))
        self.drop = nn.Dropout(config.dropout)
        self.heads = nn.ModuleDict()
        if classes:
            self.heads["expression"] = nn.Linear(self.core.features, classes)
        if values:
            self.heads["valence_arousal"] = nn.Linear(self.core.features, values)

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each part of the state, without the faces; empty for a network that is not causal."""
        return self.core.states

    def start(self, count: int) -> State:
        """The state before the first step of so many faces."""
        return tuple(torch.zeros(count, *shape, device=self.mean.device) for shape in self.state_shapes)

    def forward(
        self, x: Tensor, state: Sequence[Tensor], lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], State]:
        """Features (N, T, F) or crops (N, T, C, H, W) to the outputs of each head (N, T, K), and the state after.

        Args:
            x: the steps.
            state: before them; see `start`.
            lengths: how many steps of each row there are, int64 (N,); what follows them only fills up.
        """
        known = x if self.reads_crops else (x - self.mean) / self.std
        found, after = self.core(known, tuple(state), lengths)
        found = self.drop(found)
        outputs = {name: head(found) for name, head in self.heads.items()}
        if "valence_arousal" in outputs:
            outputs["valence_arousal"] = torch.tanh(outputs["valence_arousal"])
        return outputs, after
