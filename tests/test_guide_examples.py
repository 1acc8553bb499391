"""The examples of README and guides: those of the first pages are run, every other command is understood."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from clips import write_clip

import mien
from mien.apps.cli.commands import COMMANDS
from mien.apps.cli.main import load_command, main

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLES = Path(mien.__file__).parent / "apps/web/examples"
RUN = ["index.md", "start/quickstart.md", "start/photos.md", "start/video.md", "start/numbers.md"]
PAGES = sorted([DOCS.parent / "README.md", *DOCS.glob("*.md"), *DOCS.glob("start/*.md"), *DOCS.glob("guide/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages take for granted in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("holiday").mkdir()
    for name in ("photo.jpg", "holiday/one.jpg"):
        shutil.copy(EXAMPLES / "astronaut.jpg", name)
    write_clip(Path("talk.mp4"), [index / 5 for index in range(6)], sound="aac")
    return tmp_path


@pytest.mark.parametrize("page", RUN)
def test_a_page_can_be_worked_through(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    names: dict[str, object] = {"__name__": page}
    blocks = BLOCK.findall((DOCS / page).read_text("utf-8"))
    assert blocks
    for language, text in blocks:
        if language == "python":
            exec(compile(text, page, "exec"), names)
        for line in text.splitlines() if language == "bash" else ():
            if line.startswith("mien "):
                with pytest.raises(SystemExit) as end:
                    main(shlex.split(line)[1:])
                assert not end.value.code, (line, capsys.readouterr().err)
    assert capsys.readouterr().out


def commands(page: Path) -> list[str]:
    """The lines of code that call `mien`; what follows two blanks explains them."""
    lines = [
        line for _, text in BLOCK.findall(page.read_text("utf-8")) for line in text.replace("\\\n", " ").splitlines()
    ]
    called = [re.split(r"\s{2,}| \||;| #", line)[0] for line in lines if re.match(r"(\$ )?mien \w", line)]
    return [line.removeprefix("$ ").strip() for line in called]


CALLS = sorted({line for page in PAGES for line in commands(page)})


@pytest.mark.parametrize("line", CALLS)
def test_a_command_of_a_page_has_such_arguments_and_options(line: str) -> None:
    if re.search(r"[…[\]]| \.\.\.|COMMAND", line):
        pytest.skip("a pattern, not an example")
    words = shlex.split(line)[1:]
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    assert name in COMMANDS
    if {"-h", "--help"} & set(words):
        return
    command = load_command(name)
    # Without its callback: the words are parsed and checked, nothing is done.
    with command.make_context(f"mien {name}", words[len(name.split()) :]) as context:
        assert isinstance(context, click.Context)


def test_the_pages_have_examples() -> None:
    assert len(CALLS) > 50
