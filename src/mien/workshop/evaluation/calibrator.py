"""Which calibration a head needs, fitted on held-out rows and chosen by cross-validation on the same rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.arrays import Bool, Float32, Float64
from mien.artifact.calibration import Calibration
from mien.artifact.manifest import Manifest
from mien.errors import DataError
from mien.labels import CROWD, HEADS, SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import distribution
from mien.workshop.evaluation.calibration import TEMPERATURES, expected_calibration_error, fit_temperature

FORMS = ("temperature", "curve", "vector")
"""From the simplest to the freest: one number; two, with the curvature; these and scale and bias a class."""

# A vector that cross-validation upheld was worse on PrivateTest and foreign photos (study log, 2026-11-21, int8).
SAFE = "curve"
"""The freest form that leaves every answer as it is: taken unless a freer one is allowed."""

FOLDS = 10
FEWEST_ROWS = 500
"""With fewer rows only a temperature is fitted."""

STANDARD_ERRORS = 2.0
"""By how many of its standard errors a freer form has to lower the log-loss to be taken."""

LEAST_SCALE = 0.05

LEAST_PRIOR = 1e-3
"""A class that is hardly ever predicted counts as this frequent."""


@dataclass(frozen=True)
class Trial:
    """A form of calibration, and what its cross-validation gave.

    Args:
        form: one of `FORMS`, or `as it was`.
        calibration: fitted on all rows.
        loss, ece, accuracy: log-loss in nats, calibration error and top-1, each row by a fit that has not seen it.
        gain, gain_error: by how much the loss is lower than the form's that was best so far, and the standard error.
    """

    form: str
    calibration: Calibration
    loss: float
    ece: float
    accuracy: float
    gain: float = 0.0
    gain_error: float = 0.0


@dataclass(frozen=True)
class Choice:
    """The trials of a head, the first as it was, and the one that was taken.

    Args:
        taken: of `trials`.
        trials: what the head had before, and then each form.
        rows: how many were fitted on.
        against: what they were calibrated against, in words.
        prior: the mean probability of each class on these rows, calibrated as taken.
    """

    taken: Trial
    trials: tuple[Trial, ...]
    rows: int
    against: str
    prior: tuple[float, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """For a manifest."""
        return {"form": self.taken.form, "rows": self.rows, "against": self.against, "folds": FOLDS}


@dataclass(frozen=True)
class _Rows:
    """Logits (N, K), the targets' distributions (N, K), and the classes (K,) that the targets know."""

    logits: Float64
    targets: Float64
    known: Bool

    def __getitem__(self, which: npt.NDArray[np.generic]) -> _Rows:
        return _Rows(self.logits[which], self.targets[which], self.known)

    def __len__(self) -> int:
        return len(self.logits)


def calibrate_heads(
    logits: Mapping[str, Float32],
    rows: FaceDataset,
    current: Mapping[str, Calibration],
    *,
    freest: str = SAFE,
) -> dict[str, Choice]:
    """A calibration for each head: `fer2013` against the labels, `crowd` against the shares of the votes.

    Where there are no votes, `crowd` is calibrated against the labels as users get it, without contempt. A head for
    which `rows` hold no targets is left out.

    Args:
        logits: float32 (N, K) by head, of the faces of `rows`.
        rows: held-out faces.
        current, freest: as `choose_calibration` takes them.

    Raises:
        DataError: as `choose_calibration`.
    """
    found = {}
    labelled = rows.labels >= 0
    if "fer2013" in logits and labelled.any():
        ones = np.eye(len(SEVEN))[rows.labels[labelled]]
        found["fer2013"] = choose_calibration(
            logits["fer2013"][labelled], ones, current=current["fer2013"], against=f"{rows.name} labels", freest=freest
        )
    if "crowd" not in logits:
        return found
    shares, enough = distribution(rows.votes) if rows.votes is not None else (np.zeros(0), np.zeros(1, bool))
    if enough.any():
        found["crowd"] = choose_calibration(
            logits["crowd"][enough], shares[enough], current=current["crowd"], against="FER+ votes", freest=freest
        )
    elif labelled.any():
        # FER2013's labels know no contempt: it is left out of the fit rather than taught to be impossible.
        places = np.array([CROWD.index(name) for name in SEVEN])
        ones = np.eye(len(CROWD))[places[rows.labels[labelled]]]
        known = np.isin(HEADS["crowd"], SEVEN)
        found["crowd"] = choose_calibration(
            logits["crowd"][labelled], ones, known=known, current=current["crowd"], against=f"{rows.name} labels",
            freest=freest,
        )  # fmt: skip
    return found


def with_calibrations(manifest: Manifest, chosen: Mapping[str, Choice], rows: FaceDataset) -> Manifest:
    """The manifest with the calibrations that were taken, and on what in `data`; other heads stay as they are."""
    heads = {
        name: replace(head, calibration=chosen[name].taken.calibration, prior=chosen[name].prior)
        if name in chosen
        else head
        for name, head in manifest.heads.items()
    }
    fitted = {
        "name": rows.name,
        "sha256": rows.sha256,
        "heads": {name: found.summary for name, found in chosen.items()},
    }
    return replace(manifest, heads=heads, data={**manifest.data, "calibrated": fitted})


def choose_calibration(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    known: Bool | None = None,
    current: Calibration | None = None,
    against: str = "labels",
    freest: str = SAFE,
) -> Choice:
    """The simplest calibration that no freer form beats.

    Every form is cross-validated on these rows. A freer one is taken where its log-loss is lower by more than two
    standard errors of the difference, and its top label is right no less often. Forms freer than `freest` are tried
    and reported, but not taken.

    Args:
        logits: float (N, K).
        targets: distributions (N, K).
        known: bool (K,), the classes that the targets know; the others are left out and stay as they are.
        current: what there was before.
        against: what the targets are, in words.
        freest: the freest form that may be taken, one of `FORMS`. A vector may change answers, and carries the
            frequencies of the classes in these rows over to other pictures.

    Raises:
        DataError: for an unknown form, no rows, logits that are not finite, or targets that do not fit them.
    """
    if freest not in FORMS:
        raise DataError(f"unknown form of calibration {freest!r}: expected one of {', '.join(FORMS)}")
    z, wanted = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    rows = _Rows(z, wanted, np.ones(z.shape[-1], bool) if known is None else known)
    # For its checks alone: all that follows takes finite logits and matching targets for granted.
    fit_temperature(z, wanted)
    before = current or Calibration()
    losses, first = _tried("as it was", before, rows, _answers(before, rows))
    trials, taken, best = [first], first, losses
    forms = FORMS if len(rows) >= FEWEST_ROWS else FORMS[:1]
    # All forms in one pass over the folds: each builds on the simpler one's fit to the same rows.
    fitted, answers = _fit(rows, forms), _cross_validate(rows, forms)
    for form in forms:
        losses, trial = _tried(form, fitted[form], rows, answers[form])
        saved = best - losses
        # Paired by row: the losses of two forms rise and fall together, and their difference varies less.
        error = float(saved.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else 0.0
        trial = replace(trial, gain=float(saved.mean()), gain_error=error)
        trials.append(trial)
        if FORMS.index(form) > FORMS.index(freest):
            continue
        # A temperature is taken in any case: what the head had before is of another fit, and shown to compare.
        if form == FORMS[0] or (trial.gain > STANDARD_ERRORS * error and trial.accuracy >= taken.accuracy):
            taken, best = trial, losses
    prior = taken.calibration.probabilities(np.asarray(z, np.float32)).astype(np.float64).mean(axis=0)
    # Balancing divides by the prior: a class that is hardly ever predicted would be lifted without limit.
    prior = np.maximum(prior, LEAST_PRIOR) / np.maximum(prior, LEAST_PRIOR).sum()
    return Choice(taken, tuple(trials), len(rows), against, tuple(round(float(share), 5) for share in prior))


def log_softmax64(logits: Float64) -> Float64:
    """Log-probabilities in double precision."""
    centred = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(centred - np.log(np.exp(centred).sum(axis=1, keepdims=True)))


def _fit(rows: _Rows, forms: Sequence[str]) -> dict[str, Calibration]:
    """Each form with the least log-loss, a little drawn to the simpler one that it builds on.

    The loss is convex in 1 / T and the curvature, and in scale and bias; Newton's steps find its minimum. The draw is
    that of a normal prior around the simpler form: the squared distance, once for all rows.
    """
    found = Calibration(fit_temperature(rows.logits[:, rows.known], rows.targets[:, rows.known]))
    fitted = {FORMS[0]: found}
    # The curvature acts on log-probabilities, as `Calibration` applies it; float64, for Newton's steps to settle.
    logs = replace(rows, logits=log_softmax64(rows.logits))
    for form, freer in zip(FORMS[1:], (_curve, _vector), strict=True):
        if form in forms:
            fitted[form] = found = freer(logs, found)
    return fitted


def _curve(rows: _Rows, start: Calibration) -> Calibration:
    """1 / T and the curvature together; without curvature where it would be negative."""
    logs = rows.logits[:, rows.known]
    features = np.stack([logs, -(logs**2)], axis=2)
    slope, curvature = _minimum(features, np.zeros_like(logs), rows.targets[:, rows.known], [1 / start.temperature, 0])
    # A negative curvature could reverse the order of a row's classes.
    if curvature <= 0:
        return start
    bound = 1 / TEMPERATURES[1]
    # Below the bound no temperature is allowed, at 0 there is none: the slope is held, the curvature fitted again.
    if slope < bound:
        slope, (curvature,) = bound, _minimum(features[:, :, 1:], bound * logs, rows.targets[:, rows.known], [0])
    return Calibration(float(np.clip(1 / slope, *TEMPERATURES)), max(float(curvature), 0.0))


def _vector(rows: _Rows, start: Calibration) -> Calibration:
    """Scale and bias a class on top; 1 and 0 for classes that the targets do not know."""
    logs = rows.logits[:, rows.known]
    classes = logs.shape[1]
    each = np.eye(classes)
    features = np.concatenate(
        [logs[:, :, None] / start.temperature * each, np.broadcast_to(each, (*logs.shape, classes))], axis=2
    )
    prior = [1.0] * classes + [0.0] * classes
    found = _minimum(features, -start.curvature * logs**2, rows.targets[:, rows.known], prior)
    scale, bias = np.ones(len(rows.known)), np.zeros(len(rows.known))
    scale[rows.known], bias[rows.known] = np.maximum(found[:classes], LEAST_SCALE), found[classes:]
    return replace(start, scale=tuple(scale.tolist()), bias=tuple(bias.tolist()))


def _minimum(features: Float64, offset: Float64, targets: Float64, prior: list[float]) -> Float64:
    """Parameters (F,) with the least mean of -t · log softmax(offset + features w) + |w - prior|² / N.

    Args:
        features: (N, K, F).
        offset, targets: (N, K).
        prior: (F,), where the search starts as well.
    """
    count, _, size = features.shape
    around = np.asarray(prior, np.float64)

    def loss(weights: Float64) -> tuple[float, Float64]:
        logs = log_softmax64(offset + features @ weights)
        return float(-(targets * logs).sum() + ((weights - around) ** 2).sum()) / count, np.exp(logs)

    flat = features.reshape(-1, size)
    weights = around.copy()
    value, shares = loss(weights)
    for _ in range(50):
        weighed = shares[:, :, None] * features
        mean = weighed.sum(axis=1)
        slope = (flat.T @ (shares - targets).ravel() + 2 * (weights - around)) / count
        spread = weighed.reshape(-1, size).T @ flat - mean.T @ mean
        # The prior's share keeps the matrix regular: one bias on all classes changes no probability.
        step = np.linalg.solve(spread / count + 2 * np.eye(size) / count, slope)
        if float(slope @ step) < 1e-10:
            break
        length = 1.0
        # Newton's full step may overshoot far from the minimum: it is halved until the loss does not rise.
        while (following := loss(weights - length * step))[0] > value and length > 1e-6:
            length /= 2
        weights = weights - length * step
        value, shares = following
    return weights


def _cross_validate(rows: _Rows, forms: Sequence[str]) -> dict[str, Float64]:
    """Each form's probabilities of each fold by a fit to the others, in the rows' order."""
    # By chance, because data sets come sorted by class; with one seed, so that the choice can be repeated.
    fold = np.random.default_rng(0).permutation(len(rows)) % min(FOLDS, max(len(rows), 2))
    answers = {form: np.empty((len(rows), int(rows.known.sum()))) for form in forms}
    for number in np.unique(fold):
        others = rows[fold != number] if len(rows) > 1 else rows
        for form, found in _fit(others, forms).items():
            answers[form][fold == number] = _answers(found, rows[fold == number])
    return answers


def _answers(calibration: Calibration, rows: _Rows) -> Float64:
    """Probabilities of the known classes, summing to 1 over them."""
    # Through the code that readers run, in its float32, so that the figures are those of the artifact.
    found = calibration.probabilities(rows.logits.astype(np.float32)).astype(np.float64)[:, rows.known]
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _tried(form: str, calibration: Calibration, rows: _Rows, found: Float64) -> tuple[Float64, Trial]:
    """The loss of each row, and the trial."""
    wanted = rows.targets[:, rows.known]
    logs = np.log(np.clip(found, np.finfo(np.float64).eps, 1))
    losses = np.asarray(-(wanted * logs).sum(axis=1))
    right = wanted[np.arange(len(rows)), found.argmax(axis=1)] == wanted.max(axis=1)
    ece = expected_calibration_error(found, wanted)
    return losses, Trial(form, calibration, float(losses.mean()), ece, float(right.mean()))
