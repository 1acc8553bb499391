"""The student: a small fully convolutional detector of faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
"""Pixels of the picture between two points of each level."""

OUTPUTS = 15
"""Of each point: score logit, centre (2), logarithm of the size (2), five landmarks (10), all in strides."""


@dataclass(frozen=True)
class Shape:
    """How large the network is.

    Args:
        stem: channels at a half of the picture's size.
        quarter: channels at a quarter.
        widths: channels at strides 8, 16 and 32.
        blocks: blocks at a quarter and at strides 8, 16 and 32.
        head: channels of the three heads.
    """

    stem: int = 16
    quarter: int = 32
    widths: tuple[int, int, int] = (64, 96, 128)
    blocks: tuple[int, int, int, int] = (0, 2, 2, 2)
    head: int = 64

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint's metadata."""
        return asdict(self)


def _dense(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Separable(nn.Module):
    """A depthwise and a pointwise convolution and one norm; adds its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.adds = inputs == outputs and stride == 1
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) → (N, outputs, H / stride, W / stride)."""
        result = self.norm(self.pointwise(self._filter(features)))
        return torch.relu(result + features if self.adds else result)

    def _filter(self, features: Tensor) -> Tensor:
        stride = self.depthwise.stride[0]
        if stride == 1 or not self.training:
            result: Tensor = self.depthwise(features)
            return result
        # The same numbers; but in bfloat16 the gradient of a strided depthwise convolution takes ten times as long.
        whole = functional.conv2d(features, self.depthwise.weight, padding=1, groups=self.depthwise.groups)
        return whole[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)


class FaceNetwork(nn.Module):
    """Pictures (N, 1, H, W), grey 0–255, H and W multiples of 32 → (N, points, 15).

    Points come level by level, stride 8 first, row by row. The last layers' weights are scaled for inputs in
    0–255: normalisation is the first layer, as in every graph that Mien ships.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        stem, quarter, widths, blocks = self.shape.stem, self.shape.quarter, self.shape.widths, self.shape.blocks
        self.stem = nn.Sequential(_dense(1, stem, 2), _dense(stem, quarter, 2), *self._more(quarter, blocks[0]))
        before = (quarter, *widths[:2])
        self.stages = nn.ModuleList(
            nn.Sequential(Separable(inputs, outputs, 2), *self._more(outputs, more))
            for inputs, outputs, more in zip(before, widths, blocks[1:], strict=True)
        )
        head = self.shape.head
        self.laterals = nn.ModuleList(nn.Conv2d(width, head, 1) for width in widths)
        self.heads = nn.ModuleList(
            nn.Sequential(Separable(head, head), Separable(head, head), nn.Conv2d(head, OUTPUTS, 1)) for _ in STRIDES
        )
        self._start()

    @staticmethod
    def _more(width: int, count: int) -> list[nn.Module]:
        return [Separable(width, width) for _ in range(count)]

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in self.heads:
            last = list(head.children())[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            # A face at one point in a hundred, two strides large.
            last.bias.data[0] = -4.6
            last.bias.data[3:5] = 0.7

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        features = self.stem((pictures - 127.5) / 64)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        merged = [self.laterals[2](levels[2])]
        for level in (1, 0):
            wider = nn.functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
            merged.insert(0, self.laterals[level](levels[level]) + wider)
        outputs = [head(each).flatten(2) for head, each in zip(self.heads, merged, strict=True)]
        return torch.cat(outputs, dim=2).transpose(1, 2)


def make_points(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (P, 2) in pixels and strides (P,) of the points of a picture of that size, in the network's order."""
    centres, strides = [], []
    for stride in STRIDES:
        rows = (torch.arange(height // stride) + 0.5) * stride
        columns = (torch.arange(width // stride) + 0.5) * stride
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
        centres.append(grid)
        strides.append(torch.full((len(grid),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(outputs: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes xyxy (N, P, 4) and landmarks (N, P, 5, 2) in pixels from outputs (N, P, 15)."""
    step = strides[None, :, None]
    middle = centres[None] + outputs[..., 1:3] * step
    half = torch.exp(outputs[..., 3:5].clamp(-4, 5)) * step / 2
    landmarks = centres[None, :, None] + outputs[..., 5:].reshape(*outputs.shape[:2], 5, 2) * step[..., None]
    return torch.cat([middle - half, middle + half], dim=-1), landmarks


Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """The faces of a batch, padded to the most in one picture, as `prepare` makes it.

    Args:
        boxes: xyxy pixels (N, G, 4).
        landmarks: pixels (N, G, 5, 2), NaN where unknown.
        candidates: points that may answer for each face (N, G, K), -1 where there are fewer.
        doubtful: points of which nothing is taught, unless they answer for a face (N, P).
    """

    boxes: Tensor
    landmarks: Tensor
    candidates: Tensor
    doubtful: Tensor


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts."""

    score: float = 1.0
    box: float = 2.0
    landmarks: float = 1.0
    background: float = 1.0


SIZES = {8: (0.0, 56.0), 16: (36.0, 136.0), 32: (90.0, 1e9)}
"""Sizes of face, square root of the area in pixels, that points of each stride may answer for; neighbours share."""

CANDIDATES = 24
"""Points that may answer for one face at most, the nearest to its middle."""

MOST_POINTS = 6
"""Points that do."""


def loss_of(
    outputs: Tensor, centres: Tensor, strides: Tensor, truth: Truth, weights: Weights
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch's outputs (N, P, 15), and its parts as numbers.

    The score is taught by binary cross entropy weighted by the squared error, towards how well the point's own box
    fits beside the best one for the face (quality focal loss, Li et al. 2020; task-aligned assignment, Feng et al.
    2021); boxes by CIoU (Zheng et al. 2020); landmarks by the smooth L1 distance in shares of the face's size.
    """
    boxes, landmarks = decode(outputs, centres, strides)
    with torch.no_grad():
        face, target = assign(outputs[..., 0].sigmoid(), boxes, truth)
        taught = ~truth.doubtful | (target > 0)
    positive = target > 0
    stress = torch.ones_like(target)
    stress[positive] = _stress(truth.boxes)[positive.nonzero()[:, 0], face[positive]]
    probability = outputs[..., 0].sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(outputs[..., 0], target, reduction="none")
    focus = (target - probability).detach().abs() ** 2
    share = torch.where(positive, 1.5 * stress, torch.full_like(focus, 0.5 * weights.background))
    count = (target * stress).sum().clamp(min=1.0)
    score_loss = (entropy * focus * share * taught).sum() / count

    rows, points = torch.nonzero(positive, as_tuple=True)
    which = face[rows, points]
    weight = target[rows, points] * stress[rows, points]
    real = truth.boxes[rows, which]
    box_loss = ((1 - complete_iou(boxes[rows, points], real)) * weight).sum() / count
    aims = truth.landmarks[rows, which]
    known = torch.isfinite(aims).all(dim=2)
    size = (real[:, 2:] - real[:, :2]).prod(dim=1).sqrt().clamp(min=4)
    apart = (landmarks[rows, points] - torch.nan_to_num(aims)) / size[:, None, None]
    distance = functional.smooth_l1_loss(apart, torch.zeros_like(apart), beta=0.03, reduction="none").sum(dim=2)
    landmark_loss = ((distance * known).mean(dim=1) * weight).sum() / count * 5
    total = weights.score * score_loss + weights.box * box_loss + weights.landmarks * landmark_loss
    parts = {"score": score_loss, "box": box_loss, "landmarks": landmark_loss}
    return total, {name: float(part.detach()) for name, part in parts.items()}


def _stress(boxes: Tensor) -> Tensor:
    """How much each face counts (N, G): a picture holds one large face or twenty small ones."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1).prod(dim=-1).sqrt()
    return (size / 24).sqrt().clamp(0.8, 3.0)


def assign(scores: Tensor, boxes: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """For each point the face it answers for (N, P), and the score it should give, 0 for background.

    Of a face's candidates the up to six that score and fit best answer: the best is taught 1, the others in
    proportion.
    """
    many, faces, most = truth.candidates.shape
    points = scores.shape[1]
    index = truth.candidates.clamp(min=0)
    flat = index.flatten(1)
    theirs = boxes.gather(1, flat[..., None].expand(-1, -1, 4)).view(many, faces, most, 4)
    score = scores.gather(1, flat).view(many, faces, most)
    metric = score.clamp(min=1e-3).sqrt() * (_iou(truth.boxes[:, :, None], theirs) + 0.05) ** 3
    metric = metric * (truth.candidates >= 0)
    least = metric.topk(min(MOST_POINTS, most), dim=2).values[..., -1:]
    share = torch.where(metric >= least, metric / metric.amax(dim=2, keepdim=True).clamp(min=1e-9), 0)
    # A point that two faces claim goes to the one it fits better.
    owner = torch.zeros(many, points, dtype=torch.long, device=boxes.device)
    best = torch.zeros(many, points, device=boxes.device).scatter_reduce(1, flat, metric.flatten(1), "amax")
    wins = (metric.flatten(1) >= best.gather(1, flat)) & (share.flatten(1) > 0)
    which = torch.arange(faces, device=boxes.device)[None, :, None].expand(many, -1, most).flatten(1)
    target = torch.zeros(many, points, device=boxes.device)
    rows, places = torch.nonzero(wins, as_tuple=True)
    owner[rows, flat[rows, places]] = which[rows, places]
    target[rows, flat[rows, places]] = share.flatten(1)[rows, places]
    return owner, target


def prepare(
    boxes: Float32, kinds: npt.NDArray[np.int64], centres: Float32, strides: Float32
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What `Truth` says of points for one picture: `candidates` (G, K) and `doubtful` (P,).

    Args:
        boxes: xyxy pixels (G, 4).
        kinds: (G,), 1 a face, -1 something that is neither face nor background.
        centres: the points' places in pixels (P, 2).
        strides: the points' strides (P,).
    """
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    middle = (boxes[:, 2:] + boxes[:, :2]) / 2
    area = np.sqrt(size.prod(axis=1))
    away = np.abs(centres[None] - middle[:, None])
    near = (away < np.maximum(size[:, None] * 0.3, strides[None, :, None] * 0.8)).all(axis=2)
    low, high = (np.array([SIZES[int(stride)][end] for stride in strides], np.float32) for end in (0, 1))
    allowed = near & (area[:, None] >= low) & (area[:, None] < high) & (kinds == 1)[:, None]
    distance = np.where(allowed, away.sum(axis=2) / strides, np.inf)
    order = np.argpartition(distance, CANDIDATES, axis=1)[:, :CANDIDATES]
    fine = np.isfinite(np.take_along_axis(distance, order, axis=1))
    inside = ((centres[None] >= boxes[:, None, :2]) & (centres[None] <= boxes[:, None, 2:])).all(axis=2)
    return np.where(fine, order, -1), (inside & (kinds == -1)[:, None]).any(axis=0)


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4) that broadcast."""
    common = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    overlap = common.clamp(min=0).prod(dim=-1)
    total = (first[..., 2:] - first[..., :2]).prod(dim=-1) + (second[..., 2:] - second[..., :2]).prod(dim=-1)
    return overlap / (total - overlap).clamp(min=1e-6)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """CIoU (M,) of paired boxes xyxy (M, 4): overlap less the distance of the middles and the difference in shape."""
    common = (torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])).clamp(min=0)
    sizes = first[:, 2:] - first[:, :2], second[:, 2:] - second[:, :2]
    overlap = common.prod(dim=1)
    iou = overlap / (sizes[0].prod(dim=1) + sizes[1].prod(dim=1) - overlap).clamp(min=1e-6)
    hull = torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])
    middles = (first[:, :2] + first[:, 2:] - second[:, :2] - second[:, 2:]) / 2
    apart = middles.square().sum(dim=1) / hull.square().sum(dim=1).clamp(min=1e-6)
    angles = [torch.atan(size[:, 0] / size[:, 1].clamp(min=1e-6)) for size in sizes]
    shape = (angles[0] - angles[1]).square() * (4 / torch.pi**2)
    with torch.no_grad():
        share = shape / (1 - iou + shape).clamp(min=1e-6)
    return iou - apart - share * shape
