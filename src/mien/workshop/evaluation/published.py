"""What others have published on FER2013 and FER+, with the rules under which each figure was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.evaluation.sets import CHALLENGE_ROWS

FERPLUS_ROWS = 3_153
"""Rows of PrivateTest with a majority by the FER+ authors' protocol."""

REPORTED, PEOPLE, OWN_TEST, NOT_REPRODUCED = "reported", "people", "own test", "not reproduced"

STATUSES = {
    REPORTED: "as its authors give it, on the challenge's PrivateTest; not measured again here",
    PEOPLE: "people, not a model",
    OWN_TEST: "the epoch was chosen on the very faces that are reported, so the figure is too high",
    NOT_REPRODUCED: "others, with the authors' own code, weights or data, got other figures",
}
"""What each mark means."""


@dataclass(frozen=True)
class Published:
    """A published accuracy.

    Args:
        name: model or method.
        year: of publication.
        accuracy: per cent.
        selection: the faces on which the reported network was chosen, if its authors say.
        pretraining: data besides the training rows of the set itself; empty for none.
        source: paper or repository.
        status: a key of `STATUSES`.
        parameters: millions, None where not known.
        note: whatever else is needed to read the figure.
        ensemble: several networks answer together.
    """

    name: str
    year: int
    accuracy: float
    source: str
    selection: str = "not stated"
    pretraining: str = ""
    status: str = REPORTED
    parameters: float | None = None
    note: str = ""
    ensemble: bool = False


_GOODFELLOW = "Goodfellow et al., arXiv:1307.0414"
_PRAMERDORFER = "Pramerdorfer & Kampel, arXiv:1612.02903"
_MASKING = "Pham et al., ICPR 2020; github.com/phamquiluan/ResidualMaskingNetwork"
_CHALLENGE = "blind test"
_BEST_VALIDATION = "PublicTest"
_BARSOUM = "Barsoum et al., arXiv:1608.01041"

FER2013 = (
    Published("People", 2013, 65.0, _GOODFELLOW, "–", status=PEOPLE, note="± 5, one of the authors and colleagues"),
    Published("Local learning on a bag of visual words", 2013, 67.48, _GOODFELLOW, _CHALLENGE, note="no network"),
    Published("CNN with an SVM's loss, the challenge's winner", 2013, 71.16, "Tang, arXiv:1306.0239", _CHALLENGE),
    Published("Inception", 2016, 71.6, _PRAMERDORFER),
    Published("ResNet", 2016, 72.4, _PRAMERDORFER),
    Published("VGG", 2016, 72.7, _PRAMERDORFER),
    Published("The best of these together", 2016, 75.2, _PRAMERDORFER, ensemble=True),
    Published("VGG-19", 2018, 73.11, "github.com/WuJie1010/Facial-Expression-Recognition.Pytorch",
              "PrivateTest", status=OWN_TEST, note="ten-crop testing"),
    Published("ResNet-34", 2020, 72.42, _MASKING, _BEST_VALIDATION, "ImageNet", note="test-time augmentation"),
    Published("Residual masking network", 2020, 74.14, _MASKING, _BEST_VALIDATION, "ImageNet",
              note="ten views at test time; others report up to 73.6 with the same code"),
    Published("Residual masking network + 6", 2020, 76.82, _MASKING, _BEST_VALIDATION, "ImageNet", ensemble=True,
              note="how the members were chosen is not stated"),
    Published("VGG, tuned", 2021, 73.28, "Khaireddin & Chen, arXiv:2105.03588", note="ten-crop testing"),
    Published("ResNet-18", 2021, 73.70, "github.com/LetheSec/Fer2013-Facial-Emotion-Recognition-Pytorch",
              note="ten-crop testing"),
    Published("EmoNeXt-XLarge", 2023, 76.12, "El Boudouri & Bohi, arXiv:2501.08199", _BEST_VALIDATION, "ImageNet-22k",
              note="ten-crop testing (train.py of its repository)"),
    Published("ResEmoteNet", 2024, 79.79, "Roy et al., arXiv:2409.10545", pretraining="not stated",
              status=NOT_REPRODUCED,
              note="its users report 58 to 72; 71.57 with the authors' weights (issue 13 of their repository); their "
                   "copy of the data differs from FER2013 (issue 32)"),
)  # fmt: skip
"""Accuracy on PrivateTest's 3,589 faces, seven classes; in a blind test PrivateTest was not published yet."""

FERPLUS = (
    Published("VGG13, majority vote", 2016, 83.85, _BARSOUM, parameters=8.75, note="mean of 5 runs"),
    Published("VGG13, cross-entropy with the votes", 2016, 84.72, _BARSOUM, parameters=8.75, note="mean of 5 runs"),
    Published("VGG13, a label drawn from the votes", 2016, 84.99, _BARSOUM, parameters=8.75, note="mean of 5 runs"),
    Published("SENet-50", 2018, 88.8, "Albanie et al., ACM MM 2018", pretraining="VGGFace2"),
    Published("ESR-9", 2020, 87.15, "Siqueira et al., AAAI 2020", pretraining="AffectNet", ensemble=True),
    Published("RAN, ResNet-18", 2020, 88.55, "Wang et al., IEEE TIP 2020", pretraining="MS-Celeb-1M"),
    Published("RAN, VGG-16", 2020, 89.16, "Wang et al., IEEE TIP 2020", pretraining="VGGFace"),
    Published("SCN", 2020, 88.01, "Wang et al., CVPR 2020", pretraining="faces", note="the lower of its two figures"),
    Published("SCN", 2020, 89.35, "Wang et al., CVPR 2020", pretraining="faces", note="the higher of its two figures"),
    Published("PSR", 2020, 89.75, "Vo et al., IEEE Access 2020", pretraining="not stated here"),
    Published(
        "DDAMFN",
        2023,
        90.74,
        "Zhang et al., Electronics 12(17), 3595",
        "the test faces",
        "MS-Celeb-1M",
        status=OWN_TEST,
        note="ferPlus_train.py of its repository keeps the best epoch on the folder test",
    ),
)
"""Accuracy on the test faces of FER+, eight classes; papers differ in which faces they keep."""

CURATED = (
    "Accuracies of 90 % and more on FER2013 come from sets whose faces were chosen, cleaned or relabelled by hand and "
    "never published, or from faces that are in both training and test. They cannot be checked and are not listed."
)


@dataclass(frozen=True)
class Standing:
    """A model's own figure among those that were published on the same faces, the best first; None is its own line."""

    title: str
    scores: SetScores
    unseen: SetScores | None
    lines: tuple[Published | None, ...]


def standings(evaluation: Evaluation) -> list[Standing]:
    """Where a model ranks on FER2013 and on FER+; empty if the faces are not the challenge's."""
    by_key = {scores.faces.key: scores for scores in evaluation.sets}
    found = []
    for key, title, rows, others in (
        ("fer2013-test", "FER2013, PrivateTest", CHALLENGE_ROWS, FER2013),
        ("crowd-test", "FER+, PrivateTest", FERPLUS_ROWS, FERPLUS),
    ):
        scores = by_key.get(key)
        # Set and number of rows must both be the challenge's, or the rank would compare different faces.
        if scores is not None and scores.faces.title == "PrivateTest" and scores.rows == rows:
            lines = _sorted(others, scores.accuracy)
            found.append(Standing(title, scores, by_key.get(f"{key}-unseen"), lines))
    return found


def _sorted(others: Sequence[Published], accuracy: float) -> tuple[Published | None, ...]:
    order = sorted(others, key=lambda row: -row.accuracy)
    better = sum(row.accuracy > 100 * accuracy for row in others)
    return (*order[:better], None, *order[better:])
