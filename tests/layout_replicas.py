"""Tiny copies of published data sets, in the layouts in which they are handed out, and three ways to break each."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clips import write_clip

from mien.images import pictures

WORDS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
Break = tuple[Callable[[Path], object], str]


@dataclass(frozen=True)
class Replica:
    """A layout's copy.

    Args:
        name: of the test, and of the folder.
        layout: the key that it is recognised by.
        write: writes it into an empty folder.
        rows: faces that are read, without looking for faces in them.
        labels: how many of each label, contempt by `contempt`, none by `none`.
        splits: how many train, validate and test.
        measured: rows of the protocol.
        persons: how many there are.
        says: parts of what is said about it.
        breaks: what is done to it, and what the one line of the error says then.
    """

    name: str
    layout: str
    write: Callable[[Path], None]
    rows: int
    labels: dict[str, int]
    splits: tuple[int, int, int]
    measured: int
    persons: int
    says: tuple[str, ...]
    breaks: tuple[Break, Break, Break]


def image(seed: int, side: int = 20, suffix: str = "jpeg") -> bytes:
    """Smooth noise, no two alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.float32)
    return pictures.encode(pictures.resize(noise, side, side).astype(np.uint8), suffix)


class Pen:
    """Writes files below a folder; every image is another one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seed = folder, 0

    def put(self, *names: str) -> None:
        for name in names:
            self.seed += 1
            kind = {"png": "png", "tiff": "tiff"}.get(name.rpartition(".")[2].lower(), "jpeg")
            self.raw(name, image(self.seed, suffix=kind))

    def raw(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def video(self, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The format is told by content, and no writer here makes all of the endings.
        made = write_clip(path.with_suffix(".avi"), [0.0, 0.04, 0.6], size=(48, 48))
        made.rename(path)

    def array(self, name: str, value: object) -> None:
        buffer = io.BytesIO()
        np.save(buffer, np.array(value), allow_pickle=False)
        self.raw(name, buffer.getvalue())


def rename(old: str, new: str) -> Callable[[Path], object]:
    """Give something another name."""

    def change(root: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return change


def remove(*names: str) -> Callable[[Path], object]:
    """Leave files or folders out."""

    def change(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return change


def write(name: str, content: bytes | str) -> Callable[[Path], object]:
    """Other content for a file."""
    return lambda root: Pen(root).raw(name, content)


def replace(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Other words in a text file."""
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new, 1))


def fer_rows(usages: Sequence[str]) -> list[tuple[int, str, str]]:
    """Emotion, pixels and Usage."""
    random = np.random.default_rng(0)
    return [(n % 7, " ".join(map(str, random.integers(0, 256, 2304))), usage) for n, usage in enumerate(usages)]


USAGES = ["Training"] * 7 + ["PublicTest"] * 2 + ["PrivateTest"] * 3


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def write_fer_csv(root: Path) -> None:
    rows = [(emotion, usage, pixels) for emotion, pixels, usage in fer_rows(USAGES)]
    # As published: blanks before two of the names.
    Pen(root).raw("fer2013/icml_face_data.csv", "emotion, Usage, pixels\n" + csv_text(rows))


def write_fer_zip(root: Path) -> None:
    rows = [("emotion", "pixels", "Usage"), *fer_rows(USAGES)]
    with zipfile.ZipFile(root / "archive.zip", "w") as archive:
        archive.writestr("fer2013/fer2013.csv", csv_text(rows))


def write_fer_folders(root: Path) -> None:
    pen = Pen(root)
    for n, word in enumerate(("Angry", "DISGUSTED", "fearful", "happy", "sad", "surprised", "neutral")):
        pen.put(f"images/train/{word}/{n}.jpg", f"images/validation/{word}/{n}.jpg")
    pen.raw("images/train/happy/clip.mp4", b"x")
    pen.raw("images/train/happy/notes.xyz", b"x")


def write_ferplus(root: Path) -> None:
    pen = Pen(root)
    ballots = ([8, 1, 1] + [0] * 7, [0] * 7 + [9, 1, 0], [4, 4, 2] + [0] * 7)
    for split in ("Train", "Valid", "Test"):
        lines = []
        for n, votes in enumerate(ballots):
            pen.put(f"FER2013{split}/fer{n:07d}.png")
            lines.append([f"fer{n:07d}.png", "(0, 0, 48, 48)", *votes])
        pen.raw(f"FER2013{split}/label.csv", csv_text(lines))


def write_affectnet_arrays(root: Path) -> None:
    pen = Pen(root)
    for folder, expressions in (("train_set", (0, 1, 2, 7, 9)), ("val_set", (3, 4, 7))):
        for n, expression in enumerate(expressions):
            pen.put(f"{folder}/images/{n}.jpg")
            at = f"{folder}/annotations/{n}"
            unknown = expression == 9
            pen.array(f"{at}_exp.npy", str(expression))
            pen.array(f"{at}_val.npy", "-2" if unknown else "0.5")
            pen.array(f"{at}_aro.npy", "-2" if unknown else "-0.25")
            pen.array(f"{at}_lnd.npy", np.zeros(136))


def write_affectnet_tables(root: Path) -> None:
    pen = Pen(root)
    names = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for table, expressions in (("training.csv", (0, 6, 8)), ("validation.csv", (5, 7))):
        rows = []
        for n, expression in enumerate(expressions):
            name = f"{len(table)}/{table[0]}{n}.jpg"
            pen.put(f"Manually_Annotated_Images/{name}")
            rows.append([name, 2, 2, 16, 16, "1;2", expression, -0.5, 0.125])
        # The release's validation.csv has no header.
        pen.raw(table, csv_text([*([names.split(",")] if table == "training.csv" else []), *rows]))


def write_affectnet_copy(root: Path) -> None:
    pen = Pen(root)
    rows = [["", "pth", "label", "relFCs"]]
    for n, word in enumerate(("anger", "contempt", "happy", "neutral")):
        pen.put(f"{word}/image{n}.jpg")
        rows.append([str(n), f"{word}/image{n}.jpg", word, "0.8"])
    pen.raw("labels.csv", csv_text(rows))


def write_raf(root: Path) -> None:
    pen = Pen(root)
    lines = []
    for split in ("train", "test"):
        for number in range(1, 8):
            pen.put(f"basic/Image/aligned/{split}_{number:05d}_aligned.jpg")
            lines.append(f"{split}_{number:05d}.jpg {number}")
    pen.raw("basic/EmoLabel/list_patition_label.txt", "\n".join(lines) + "\n")
    pen.put("compound/Image/aligned/train_0001_aligned.jpg")


def write_raf_copy(root: Path) -> None:
    pen = Pen(root)
    for split in ("train", "test"):
        pen.put(*(f"DATASET/{split}/{number}/{split}_{number:05d}_aligned.jpg" for number in range(1, 8)))
        pen.raw(f"{split}_labels.csv", "image,label\n")


def write_ck(root: Path) -> None:
    pen = Pen(root)
    for person, number in (("S005", 1), ("S010", 2), ("S011", 7)):
        pen.put(*(f"cohn-kanade-images/{person}/001/{person}_001_{frame:08d}.png" for frame in range(1, 7)))
        pen.raw(f"Emotion/{person}/001/{person}_001_00000006_emotion.txt", f"   {number}.0000000e+00\n")
    pen.put("cohn-kanade-images/S005/002/S005_002_00000001.png")
    (root / "Emotion/S005/002").mkdir(parents=True)


def write_ck48(root: Path) -> None:
    pen = Pen(root)
    for person, word in (("S010", "anger"), ("S011", "contempt"), ("S014", "sadness")):
        pen.put(*(f"CK+48/{word}/{person}_004_{frame:08d}.png" for frame in (17, 18, 19)))


def write_jaffe(root: Path) -> None:
    pen = Pen(root)
    for n, person in enumerate(("KA", "KL", "KM", "KR")):
        pen.put(*(f"jaffe/{person}.{word}1.{10 * n + k}.tiff" for k, word in enumerate(("AN", "FE", "NE"))))
    pen.raw("jaffe/README_FIRST.txt", "read")


def write_kdef(root: Path) -> None:
    pen = Pen(root)
    for person in ("F01", "F02", "M01"):
        for word in ("AF", "HA"):
            pen.put(*(f"KDEF/A{person}/A{person}{word}{angle}.JPG" for angle in ("S", "HL")))
    pen.put("KDEF/AM01/AM01H.JPG")


def write_oulu(root: Path) -> None:
    pen = Pen(root)
    for person in ("P001", "P002", "P003"):
        for word in ("Anger", "Surprise"):
            pen.put(*(f"OriginalImg/VL/Strong/{person}/{word}/{frame:03d}.jpeg" for frame in range(5)))
    pen.put("OriginalImg/NI/Dark/P001/Anger/000.jpeg")


def write_mmi(root: Path) -> None:
    pen = Pen(root)
    for session, person, number in ((1, "S001", 4), (2, "S002", 6), (3, "S003", 8)):
        pen.video(f"Sessions/{session}/{person}-00{session}.avi")
        tags = f'<Metatag Name="Emotion" Value="{number}" />'
        pen.raw(f"Sessions/{session}/session.xml", f'<?xml version="1.0"?><Session id="{session}">{tags}</Session>')


def write_sfew(root: Path) -> None:
    pen = Pen(root)
    for n, word in enumerate(("Angry", "Happy")):
        pen.put(f"Train/{word}/Airheads_00051924{n}_00000005.png", f"Val/{word}/Bridesmaids_00051924{n}_00000005.png")
    pen.put("Test/Crash_000519249_00000005.png")


def write_afew(root: Path) -> None:
    pen = Pen(root)
    for split in ("Train", "Val"):
        for n, word in enumerate(("Fear", "Neutral")):
            pen.video(f"{split}_AFEW/{word}/00004628{n}.avi")


def write_expw(root: Path) -> None:
    pen = Pen(root)
    pen.put("image/origin/angry_actor_1.jpg", "image/origin/smile_2.jpg")
    lines = ["angry_actor_1.jpg 0 2 2 16 16 90.5 0", "smile_2.jpg 0 1 1 9 9 70.1 3", "smile_2.jpg 1 8 8 18 18 60.2 6"]
    pen.raw("label/label.lst", "\n".join(lines) + "\n")


def write_aff_wild2(root: Path) -> None:
    pen = Pen(root)
    for video in ("1-30-1280x720", "5-60-1920x1080_left", "9-unknown"):
        pen.put(*(f"cropped_aligned/{video}/{frame:05d}.jpg" for frame in range(1, 13) if frame != 4))
    for video, split in (("1-30-1280x720", "Train"), ("5-60-1920x1080_left", "Validation")):
        numbers = [4] * 8 + [7, -1, 0, 0]
        header = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n"
        pen.raw(f"EXPR_Set/{split}_Set/{video}.txt", header + "\n".join(map(str, numbers)) + "\n")
        pairs = ["0.25,-0.5"] * 9 + ["-5,-5", "0.1,0.1", "0.1,0.2"]
        pen.raw(f"VA_Set/{split}_Set/{video}.txt", "valence,arousal\n" + "\n".join(pairs) + "\n")


def write_afew_va(root: Path) -> None:
    pen = Pen(root)
    for n in range(1, 4):
        pen.put(*(f"{n:03d}/{frame:05d}.png" for frame in range(2)))
        about = {"arousal": -2.0, "valence": 5.0, "landmarks": [[3, 3], [17, 3], [10, 17]]}
        frames = {f"{frame:05d}": about for frame in range(2)}
        pen.raw(f"{n:03d}/{n:03d}.json", json.dumps({"video_id": f"{n:03d}", "actor": f"actor {n}", "frames": frames}))


def write_ravdess(root: Path) -> None:
    pen = Pen(root)
    for actor in (1, 2, 3):
        for number in (2, 3):
            pen.video(f"Actor_{actor:02d}/01-01-{number:02d}-01-01-01-{actor:02d}.mp4")
    pen.video("Actor_01/02-01-03-01-01-01-01.mp4")
    pen.raw("Actor_01/03-01-03-01-01-01-01.wav", b"RIFF")


def write_crema(root: Path) -> None:
    pen = Pen(root)
    for actor in (1001, 1002, 1003):
        for word in ("ANG", "NEU"):
            pen.video(f"VideoFlash/{actor}_DFA_{word}_XX.flv")
            pen.raw(f"AudioWAV/{actor}_DFA_{word}_XX.wav", b"RIFF")


def write_clip_folders(root: Path) -> None:
    pen = Pen(root)
    for split in ("train", "test"):
        for word in ("Angry", "Happy"):
            pen.video(f"VFEM/{split}/{word}/1.mp4")


CUT = image(99)[:200]
UNREADABLE = "pictures cannot be read"
KAGGLE = "images/train"
REPLICAS = (
    Replica(
        "icml_face_data", "fer2013", write_fer_csv, 12,
        {"angry": 2, "disgust": 2, "fear": 2, "happy": 2, "sad": 2, "surprise": 1, "neutral": 1}, (7, 2, 3), 0, 0,
        ("FER2013 (csv, 12 faces",),
        (
            (write("fer2013/icml_face_data.csv", "emotion, pixels\n"), "no column Usage"),
            (replace("fer2013/icml_face_data.csv", "\n3,", "\n8,"), "row 4 .* emotion"),
            (write("fer2013/icml_face_data.csv", ""), "is empty"),
        ),
    ),
    Replica(
        "fer2013_zip", "fer2013", write_fer_zip, 12,
        {"angry": 2, "disgust": 2, "fear": 2, "happy": 2, "sad": 2, "surprise": 1, "neutral": 1}, (7, 2, 3), 0, 0,
        ("FER2013 (csv, 12 faces",),
        (
            (write("archive.zip", b"PK\x03\x04 cut"), "cannot be read as a zip archive"),
            (lambda root: _zip(root, {"fer2013/fer2013.csv": "emotion,pixels\n"}), "no column Usage"),
            (lambda root: _zip(root, {"readme.txt": "x"}), "no pictures in it"),
        ),
    ),
    Replica(
        "fer2013_folders", "folders", write_fer_folders, 14, dict.fromkeys(WORDS, 2), (7, 7, 0), 0, 0,
        ("pictures by class, in splits", "2 files passed over: 1 .mp4, 1 .xyz"),
        (
            (rename(f"{KAGGLE}/sad", f"{KAGGLE}/bored"), "'bored' is not a class"),
            (rename(f"{KAGGLE}/sad", "images/sad"), "images/sad: not a split: beside train"),
            (write(f"{KAGGLE}/sad/4.jpg", CUT), f"1 of 14 {UNREADABLE}"),
        ),
    ),
    Replica(
        "ferplus_by_split", "ferplus_folders", write_ferplus, 9,
        {"neutral": 3, "contempt": 3, "none": 3}, (3, 3, 3), 0, 0,
        ("FER+ (votes by split", "3 faces without a majority", "3 faces labelled contempt"),
        (
            (remove("FER2013Valid"), "FER. without FER2013Valid/label.csv"),
            (replace("FER2013Test/label.csv", ",8,", ",eight,"), "line 1: votes are numbers"),
            (remove("FER2013Train/fer0000001.png"), "1 pictures that label.csv names are missing: fer0000001.png"),
        ),
    ),
    Replica(
        "affectnet_npy", "affectnet_arrays", write_affectnet_arrays, 7,
        {"neutral": 1, "happy": 1, "sad": 1, "surprise": 1, "fear": 1, "contempt": 2}, (4, 3, 0), 3, 0,
        ("AffectNet (images with .npy annotations", "1 face of none, uncertain", "2 faces labelled contempt"),
        (
            (remove("train_set/annotations/1_val.npy"), "no 1_val.npy: expected three numbers"),
            (lambda root: Pen(root).array("train_set/annotations/1_exp.npy", "12"), "'12' is not a label"),
            (write("val_set/annotations/0_aro.npy", b"\x93NUMPY broken"), "expected one number"),
        ),
    ),
    Replica(
        "affectnet_csv", "affectnet_tables", write_affectnet_tables, 5,
        {"neutral": 1, "angry": 1, "none": 1, "disgust": 1, "contempt": 1}, (3, 2, 0), 2, 0,
        ("AffectNet (tables and photographs; faces are found first)",),
        (
            (remove("Manually_Annotated_Images"), "name no image that is there: expected Manually_Annotated_Images"),
            (replace("training.csv", "1;2,6,", "1;2,11,"), "line 3: '11' is not a label"),
            (replace("validation.csv", ",16,16,", ",16,"), "line 1: 8 cells, expected 9"),
        ),
    ),
    Replica(
        "affectnet_copy", "affectnet_copy", write_affectnet_copy, 4,
        {"angry": 1, "contempt": 1, "happy": 1, "neutral": 1}, (4, 0, 0), 0, 0, ("AffectNet (copy with labels.csv",),
        (
            (remove("happy"), "1 images that labels.csv names are missing: happy/image2.jpg"),
            (replace("labels.csv", ",happy,0", ",bored,0"), "line 4: 'bored' is not a label"),
            (write("anger/image0.jpg", b""), f"1 of 4 {UNREADABLE}"),
        ),
    ),
    Replica(
        "raf_db", "raf_db", write_raf, 14, dict.fromkeys(WORDS, 2), (7, 0, 7), 7, 0,
        ("RAF-DB (basic, aligned; face crops)", "1 image of compound expressions"),
        (
            (remove("basic/EmoLabel"), "without EmoLabel/list_patition_label.txt"),
            (replace("basic/EmoLabel/list_patition_label.txt", "jpg 7", "jpg 9"), "line 7: '9' is not a label"),
            (remove("basic/Image/aligned/test_00002_aligned.jpg"), "1 images that the list names are missing: test_"),
        ),
    ),
    Replica(
        "raf_db_folders", "raf_db_folders", write_raf_copy, 14, dict.fromkeys(WORDS, 2), (7, 0, 7), 7, 0,
        ("RAF-DB (basic, aligned, in folders",),
        (
            (remove("DATASET/test"), "RAF-DB's copy without test/"),
            (rename("DATASET/train/7", "DATASET/train/8"), "train/8: '8' is not a label"),
            (write("DATASET/test/1/test_00001_aligned.jpg", CUT), f"1 of 14 {UNREADABLE}"),
        ),
    ),
    Replica(
        "ck_plus", "ck_plus", write_ck, 12, {"angry": 3, "contempt": 3, "surprise": 3, "neutral": 3}, (4, 4, 4), 3, 3,
        ("CK+ (3 labelled sequences", "1 sequence without a label", "3 faces labelled contempt"),
        (
            (remove("Emotion"), "images without labels: expected Emotion/"),
            (write("Emotion/S005/001/S005_001_00000006_emotion.txt", "9.0"), "'9' is not a label"),
            (write("cohn-kanade-images/S010/001/S010_001_00000006.png", CUT), f"1 of 12 {UNREADABLE}"),
        ),
    ),
    Replica(
        "ck_plus_48", "ck_plus_48", write_ck48, 9, {"angry": 3, "contempt": 3, "sad": 3}, (3, 3, 3), 3, 3,
        ("CK+ (CK+48, crops by class; face crops)", "3 faces labelled contempt"),
        (
            (rename("CK+48/anger", "CK+48/bored"), "'bored' is not a class of CK.48"),
            (write("CK+48/sadness/S014_004_00000018.png", b"text"), f"1 of 9 {UNREADABLE}"),
            (write("CK+48/sadness/S014_004_00000018.png", b""), f"1 of 9 {UNREADABLE}"),
        ),
    ),
    Replica(
        "jaffe", "jaffe", write_jaffe, 12, {"angry": 4, "fear": 4, "neutral": 4}, (6, 3, 3), 12, 4,
        ("JAFFE (by file name; faces are found first)",),
        (
            (rename("jaffe/KA.AN1.0.tiff", "jaffe/KA.XX1.0.tiff"), "'XX' is not a label"),
            (write("jaffe/KL.AN1.10.tiff", CUT), f"1 of 12 {UNREADABLE}"),
            (write("jaffe/KL.AN1.10.tiff", b""), f"1 of 12 {UNREADABLE}"),
        ),
    ),
    Replica(
        "kdef", "kdef", write_kdef, 12, {"fear": 6, "happy": 6}, (4, 4, 4), 6, 3,
        ("KDEF (by file name", "1 image of other names passed over: AM01H.JPG"),
        (
            (rename("KDEF/AF01/AF01AFS.JPG", "KDEF/AF01/AF01XXS.JPG"), "'XX' is not a label"),
            (lambda root: [path.unlink() for path in root.rglob("*S.JPG")], "KDEF without a straight view"),
            (write("KDEF/AF02/AF02HAS.JPG", CUT), f"1 of 12 {UNREADABLE}"),
        ),
    ),
    Replica(
        "oulu_casia", "oulu_casia", write_oulu, 18, {"angry": 9, "surprise": 9}, (6, 6, 6), 6, 3,
        ("Oulu-CASIA (6 sequences in strong visible light", "1 frame in other light passed over: 1 NI dark"),
        (
            (remove("OriginalImg/VL"), "Oulu-CASIA without VL/Strong"),
            (
                rename("OriginalImg/VL/Strong/P001/Anger", "OriginalImg/VL/Strong/P001/Bored"),
                "'Bored' is not an expression",
            ),
            (write("OriginalImg/VL/Strong/P002/Anger/004.jpeg", CUT), f"1 of 18 {UNREADABLE}"),
        ),
    ),
    Replica(
        "mmi", "mmi", write_mmi, 4, {"happy": 2, "surprise": 2}, (4, 0, 0), 4, 2,
        ("MMI (2 labelled videos", "1 video without one of the six emotions"),
        (
            (remove("Sessions/1/session.xml"), "a video without its session.xml"),
            (replace("Sessions/1/session.xml", '"4"', '"glad"'), "the emotion is a number, found 'glad'"),
            (write("Sessions/2/session.xml", "<Session"), "not an XML file"),
        ),
    ),
    Replica(
        "sfew", "sfew", write_sfew, 4, {"angry": 2, "happy": 2}, (2, 2, 0), 2, 0,
        ("SFEW 2.0 (frames; faces are found first)", "1 file of Test passed over"),
        (
            (remove("Val"), "SFEW without Val"),
            (rename("Train/Happy", "Train/Bored"), "'Bored' is not a class of SFEW"),
            (write("Val/Angry/Bridesmaids_000519240_00000005.png", CUT), f"1 of 4 {UNREADABLE}"),
        ),
    ),
    Replica(
        "afew", "afew", write_afew, 8, {"fear": 4, "neutral": 4}, (4, 4, 0), 4, 0, ("AFEW (videos",),
        (
            (remove("Val_AFEW"), "AFEW without Val"),
            (rename("Val_AFEW/Fear", "Val_AFEW/Bored"), "'Bored' is not a class of AFEW"),
            (write("Train_AFEW/Fear/000046280.avi", b"RIFFxxxxAVI cut"), f"1 of 4 {UNREADABLE}"),
        ),
    ),
    Replica(
        "expw", "expw", write_expw, 3, {"angry": 1, "happy": 1, "neutral": 1}, (3, 0, 0), 3, 0, ("ExpW (a box a face",),
        (
            (remove("image"), "label.lst without images"),
            (replace("label/label.lst", "90.5 0", "90.5 7"), "line 1: '7' is not a label"),
            (replace("label/label.lst", "1 1 9 9", "9 9 1 1"), "line 2: expected a box"),
        ),
    ),
    Replica(
        "aff_wild2", "aff_wild2", write_aff_wild2, 12, {"happy": 8, "none": 1, "neutral": 3}, (2, 10, 0), 10, 2,
        ("Aff-Wild2 (annotated frames, cropped", "1 video without annotations"),
        (
            (remove("cropped_aligned"), "annotations without frames"),
            (replace("EXPR_Set/Train_Set/1-30-1280x720.txt", "\n4", "\n9"), "line 2: '9' is not a label"),
            (replace("VA_Set/Train_Set/1-30-1280x720.txt", "0.25,-0.5", "0.25"), "line 2: expected 2 numbers"),
        ),
    ),
    Replica(
        "afew_va", "afew_va", write_afew_va, 6, {"none": 6}, (2, 2, 2), 6, 3, ("AFEW-VA (3 clips",),
        (
            (remove("002/002.json"), "1 clip without a json"),
            (replace("001/001.json", "5.0", "50.0"), "frame 00000: valence 50"),
            (write("003/003.json", "{"), "expected a json with frames"),
        ),
    ),
    Replica(
        "ravdess", "ravdess", write_ravdess, 12, {"neutral": 6, "happy": 6}, (4, 4, 4), 12, 3,
        ("RAVDESS (6 videos", "3 videos of calm read as neutral", "2 files of the same performances"),
        (
            (lambda root: [path.unlink() for path in root.rglob("*.mp4")], "RAVDESS without videos"),
            (
                rename("Actor_02/01-01-03-01-01-01-02.mp4", "Actor_02/01-01-09-01-01-01-02.mp4"),
                "'09' is not a label",
            ),
            (write("Actor_02/01-01-03-01-01-01-02.mp4", b"cut"), f"1 of 6 {UNREADABLE}"),
        ),
    ),
    Replica(
        "crema_d", "crema_d", write_crema, 12, {"angry": 6, "neutral": 6}, (4, 4, 4), 12, 3,
        ("CREMA-D (6 videos", "6 sound files passed over"),
        (
            (remove("VideoFlash"), "CREMA-D without videos"),
            (rename("VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1001_DFA_BOR_XX.flv"), "'BOR' is not a label"),
            (write("VideoFlash/1002_DFA_ANG_XX.flv", b"FLV cut"), f"1 of 6 {UNREADABLE}"),
        ),
    ),
    Replica(
        "clips_by_class", "folders", write_clip_folders, 8, {"angry": 4, "happy": 4}, (4, 0, 4), 0, 0,
        ("videos by class, in splits (faces are found first)",),
        (
            (rename("VFEM/train/Happy", "VFEM/train/Bored"), "'Bored' is not a class"),
            (rename("VFEM/test", "VFEM/exam"), "exam: not a split"),
            (write("VFEM/train/Happy/1.mp4", b"cut"), f"1 of 4 {UNREADABLE}"),
        ),
    ),
)  # fmt: skip


def _zip(root: Path, content: dict[str, str]) -> None:
    with zipfile.ZipFile(root / "archive.zip", "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)


def place_of(replica: Replica, root: Path) -> Path:
    """What a person would name: the folder, or the archive in it."""
    return root / "archive.zip" if replica.name == "fer2013_zip" else root
