"""What the page shows and what becomes of what it sends, without a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from suspects import make_table

from mien.apps.review.desk import Bench, Desk, enlarge
from mien.workshop.curation.decisions import Decisions, decisions_path
from mien.workshop.curation.issues import Issue


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    path, table, dataset = make_table(tmp_path)
    return Bench(path.name, table, dataset, Decisions(decisions_path(path), table))


def send(desk: Desk, *events: tuple[str, int, str], reviewer: str = "Ada", **sent: Any) -> None:
    """Decisions (action, issue, label), each with a token of its own."""
    made = [
        {
            "action": action,
            "issue": issue,
            "label": label,
            "reviewer": reviewer,
            "token": f"{reviewer} {action}{issue}{label}",
        }
        for action, issue, label in events
    ]
    desk.receive({"events": made, "turn": desk.turn, "position": desk.position + len(events)} | sent)


def choices(bench: Bench) -> list[tuple[int, str, str]]:
    return [(line.issue, line.choice, line.reviewer) for line in bench.decisions.log()]


def test_the_queue_is_in_the_order_of_the_table(bench: Bench) -> None:
    view = Desk(bench, reviewer="Ada").view()
    assert view["window"] == [issue.number for issue in bench.table.issues][:20]
    assert (view["total"], view["position"], view["done"], view["issues"]) == (22, 0, 0, 22)
    assert [(kind["kind"], kind["total"], kind["done"]) for kind in view["kinds"]] == [
        ("conflict", 1, 0), ("duplicate", 1, 0), ("label", 10, 0), ("dark", 10, 0),
    ]  # fmt: skip
    json.dumps(view, allow_nan=False)


def test_what_is_sent_is_written_once_and_confirmed(bench: Bench) -> None:
    desk = Desk(bench, reviewer="Ada")
    for _ in range(2):
        send(desk, ("drop", 1, ""), ("relabel", 3, "happy"))
    assert choices(bench) == [(1, "drop", "Ada"), (3, "relabel:happy", "Ada")]
    view = desk.view()
    assert view["arrived"] == ["Ada drop1", "Ada relabel3happy"]
    assert view["done"] == 2
    assert view["marks"]["3"] == {"action": "relabel", "label": "happy"}
    again = Desk(bench, reviewer="Ada")
    send(again, ("drop", 1, ""))
    assert len(choices(bench)) == 2
    assert again.view()["arrived"] == ["Ada drop1"]


def test_only_cards_that_the_page_lacks_are_sent(bench: Bench) -> None:
    desk = Desk(bench, reviewer="Ada")
    assert len(desk.view()["cards"]) == 20
    send(desk, ("keep", 1, ""))
    assert list(desk.view(frozenset(desk.queue[:20]))["cards"]) == [str(desk.queue[20])]


def test_undo_shows_the_issue_again_also_after_a_reload(bench: Bench) -> None:
    desk = Desk(bench, reviewer="Ada")
    send(desk, ("drop", 1, ""), ("drop", 2, ""), ("keep", 3, ""))
    turn = desk.turn
    send(desk, ("undo", 0, ""), position=3)
    assert desk.turn == turn + 1
    assert desk.queue[desk.position] == 3
    later = Desk(bench, reviewer="Ada")
    assert 2 not in later.queue
    later.receive({"events": [{"action": "undo", "issue": 0, "reviewer": "Ada", "token": "u"}]})
    assert later.queue[later.position] == 2
    assert later.view()["done"] == 1


def test_a_position_of_an_older_queue_is_passed_over(bench: Bench) -> None:
    desk = Desk(bench, reviewer="Ada")
    desk.receive({"turn": desk.turn - 1, "position": 7})
    assert desk.position == 0
    desk.receive({"turn": desk.turn, "position": 7})
    assert desk.position == 7


def settings(desk: Desk, token: str = "t", **change: str) -> dict[str, Any]:
    return {"settings": {"reviewer": desk.reviewer, "kind": desk.kind, "show": desk.show, "token": token} | change}


def test_kinds_and_views_choose_what_is_shown(bench: Bench) -> None:
    ada = Desk(bench, reviewer="Ada")
    send(ada, ("drop", 1, ""), ("drop", 3, ""))
    bo = Desk(bench, reviewer="Bo", show="anyone")
    assert not {1, 3} & set(bo.queue)
    bo.receive(settings(bo, show="mine", kind="label"))
    assert len(bo.queue) == 10
    assert bo.address() == {"reviewer": "Bo", "kind": "label", "show": "mine"}
    send(bo, ("keep", 3, ""), ("keep", 5, ""), reviewer="Bo")
    bo.receive(settings(bo, "u", show="disputed", kind=""))
    assert bo.queue == [3]
    bo.receive(settings(bo, "v", show="nonsense", kind="nonsense"))
    assert (bo.show, bo.kind) == ("mine", "")


def test_kappa_is_shown_with_who_decided_the_same_issues(bench: Bench) -> None:
    ada, bo = Desk(bench, reviewer="Ada"), Desk(bench, reviewer="Bo")
    send(ada, ("drop", 1, ""), ("keep", 2, ""), ("keep", 3, ""))
    send(bo, ("drop", 1, ""), ("keep", 2, ""), ("drop", 3, ""), reviewer="Bo")
    (found,) = bo.view()["agreement"]
    assert (found["reviewer"], found["n"]) == ("Ada", 3)
    assert found["kappa"] == pytest.approx(0.4)
    assert Desk(bench, reviewer="Cy").view()["agreement"] == []


def test_nobody_decides_without_a_name(bench: Bench) -> None:
    desk = Desk(bench)
    send(desk, ("drop", 1, ""), reviewer="")
    assert "enter your name" in desk.view()["error"]
    desk.receive(settings(desk, reviewer="  "))
    assert desk.view()["error"] == ""
    desk.receive(settings(desk, "u", reviewer=" Ada "))
    assert desk.reviewer == "Ada"
    assert choices(bench) == []


def test_an_error_is_shown_and_the_decision_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr("mien.workshop.curation.decisions.PATIENCE_S", 0.05)
    desk = Desk(bench, reviewer="Ada")
    holder = sqlite3.connect(bench.decisions.path)
    holder.execute("BEGIN IMMEDIATE")
    send(desk, ("drop", 1, ""))
    assert "another process" in desk.view()["error"]
    assert desk.view()["arrived"] == []
    holder.rollback()
    holder.close()
    send(desk, ("drop", 1, ""))
    assert (desk.view()["error"], choices(bench)) == ("", [(1, "drop", "Ada")])


def test_the_label_that_a_row_has_means_keep(bench: Bench) -> None:
    desk = Desk(bench, reviewer="Ada")
    send(desk, ("relabel", 3, "angry"))
    assert choices(bench) == [(3, "keep", "Ada")]


def test_a_card_shows_label_suggestion_shares_votes_and_neighbours(bench: Bench) -> None:
    card = bench.cards.get(5)
    html = card["html"]
    assert card["suggestion"] == {"action": "relabel", "label": "surprise"}
    assert card["current"] == ["fear"]
    assert "fear</span> → <span" in html
    assert html.count("<img") == 6
    assert html.count('<tr class="now"><th scope="row">fear') == 1
    assert html.count('<tr class="new"><th scope="row">surprise') == 1
    assert "FER+ votes" in html
    assert "surprise is foretold at 96 %" in html


def test_a_group_is_a_grid_that_shows_which_one_is_kept(bench: Bench) -> None:
    html = bench.cards.get(2)["html"]
    assert (html.count("<img"), html.count(">kept<")) == (4, 1)
    assert "drop 3 of 4" in html


def test_what_a_data_set_says_is_no_html(bench: Bench) -> None:
    html = bench.cards.get(1)["html"]
    assert "<b>fear</b>" not in html
    assert "&lt;b&gt;fear" in html
    ids = bench.dataset.ids.astype("U40")
    ids[40] = '"><script>alert(1)</script>'
    other = Bench("t", bench.table, replace(bench.dataset, ids=ids), bench.decisions)
    assert "<script" not in other.cards.get(1)["html"]


def test_without_votes_evidence_or_rows_a_card_is_still_there(bench: Bench) -> None:
    table = replace(
        bench.table, issues=(Issue(1, "class", (), 1.0, "keep", "", "no row"), Issue(2, "dark", (5,), 1.0, "drop")),
        rows=np.zeros(0, np.int64), probabilities=np.zeros((0, 7), np.float32), neighbours=np.zeros((0, 5), np.int64),
    )  # fmt: skip
    other = Bench("t", table, replace(bench.dataset, votes=None), bench.decisions)
    assert "no single row" in other.cards.get(1)["html"]
    html = other.cards.get(2)["html"]
    assert html.count("<img") == 1
    assert "<table" not in html


@pytest.mark.parametrize("shape", [(48, 48), (30, 60, 3), (300, 200)])
def test_pictures_are_enlarged_to_what_is_asked(shape: tuple[int, ...]) -> None:
    import base64

    address = enlarge(np.full(shape, 200, np.uint8), 96)
    found = re.fullmatch(r"data:image/jpeg;base64,(.+)", address)
    assert found is not None
    content = np.frombuffer(base64.b64decode(found[1]), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert max(picture.shape[:2]) == 96
    assert abs(float(picture.mean()) - 200) < 3
