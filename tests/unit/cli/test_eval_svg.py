"""The pictures of evaluations: valid XML, everything in the frame, and nothing of a request gone missing."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from baton.cli import eval_svg
from baton.cli.charts_svg import PLOT, Axes, Dot, curve, heat_map, page
from baton.evaluation.dialogues import DialogueTurn
from baton.evaluation.figures import routing_figures
from baton.evaluation.handoffs import Moved, handoff_figures
from baton.evaluation.judged import Judged

SVG = "{http://www.w3.org/2000/svg}"
NAMES = st.sampled_from(["a", "b", 'quote"<&>\x07', "a name that is too long for its label", "退款"])
ROWS = st.lists(
    st.builds(Judged, st.none() | NAMES, NAMES, st.floats(0.0, 1.0), is_answered=st.booleans()),
    min_size=1,
    max_size=20,
)
ABOUT = {"agents": 2, "cards": "'<file>'", "method": "m", "budget": 0.02}
FILE = "rows.jsonl"


def boxes(root: ET.Element, kind: str) -> list[ET.Element]:
    return [box for box in root.iter(f"{SVG}rect") if box.get("class") == kind]


@given(judged=ROWS)
def test_every_confusion_is_in_the_picture(judged: list[Judged]) -> None:
    root = ET.fromstring(eval_svg.routing(routing_figures(judged) | ABOUT, judged, FILE))
    right = {one.truth for one in judged if one.is_right}
    wrong = {(one.truth, one.best) for one in judged if not one.is_right}
    assert (len(boxes(root, "right")), len(boxes(root, "wrong"))) == (len(right), len(wrong))
    assert len(list(root.iter(f"{SVG}circle"))) == len(routing_figures(judged)["reliability"])


def test_of_many_agents_those_confused_most_are_shown() -> None:
    judged = [Judged(f"agent{place}", f"agent{place}", 0.5, is_answered=True) for place in range(200)]
    judged += [Judged("agent7", "agent8", 0.5, is_answered=True)]
    picture = eval_svg.routing(routing_figures(judged) | ABOUT, judged, FILE)
    root = ET.fromstring(picture)
    assert "the 2 of 200 that are confused most" in picture
    assert (len(boxes(root, "right")), len(boxes(root, "wrong"))) == (2, 1)


def test_figures_stand_in_the_picture_with_what_they_say_and_of_which_file() -> None:
    judged = [Judged("a", "a", 0.9, is_answered=True), Judged("a", "b", 0.2, is_answered=False)]
    lines = [text.text for text in ET.fromstring(eval_svg.routing(routing_figures(judged) | ABOUT, judged, FILE))]
    assert "2 rows of 'rows.jsonl', 0 of them out of scope; 2 agents of '<file>'; m" in lines
    assert "coverage 50.0%: answered, of all rows" in lines
    assert not [line for line in lines if line and line.startswith("oos_recall")]


def test_a_curve_of_many_rows_stays_a_small_file() -> None:
    judged = [Judged("a", "a", place / 50_000, is_answered=True) for place in range(50_000)]
    assert len(eval_svg.routing(routing_figures(judged) | ABOUT, judged, FILE)) < 30_000


def test_points_lie_in_the_frame() -> None:
    chart = curve(
        Axes("t", "x", "y", x_max=0.5), [Dot(0.0, 1.0, radius=2), Dot(0.5, 0.0, radius=2), Dot(0.9, 0.5, radius=2)]
    )
    root = ET.fromstring(page("t", [], [[chart]]))
    circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter(f"{SVG}circle")]
    (left, top), (right, bottom), (cut, _) = circles
    assert (right - left, bottom - top, cut - left) == (PLOT, PLOT, PLOT)


def test_cells_are_the_darker_the_larger_their_share_of_the_row() -> None:
    chart = heat_map("t", ["a", "b"], ["a", "b"], [[3, 1], [0, 0]], ("r", "c"))
    root = ET.fromstring(page("t", ["line"], [[chart]]))
    (right,), (wrong,) = boxes(root, "right"), boxes(root, "wrong")
    assert float(right.get("fill-opacity", 0)) > float(wrong.get("fill-opacity", 0)) > 0
    assert [title.text for title in root.iter(f"{SVG}title")] == ["t", "a → a: 3", "a → b: 1"]


def test_recognised_turns_are_drawn_by_where_they_should_go() -> None:
    def moved(gold: str, agent: str, to: str | None) -> Moved:
        return Moved(DialogueTurn("d", "x", gold, "a", agent, ("c",)), to)

    turns = [moved("switch", "b", "b"), moved("switch", "b", None), moved("switch", "b", "c"), moved("stay", "a", "d")]
    turns.append(moved("switch", "b", "d"))
    figures = handoff_figures(turns) | ABOUT
    titles = [str(t.text) for t in ET.fromstring(eval_svg.handoff(figures, turns, FILE)).iter(f"{SVG}title")]
    assert titles == ["Recognition", "b → b: 1", "b → d: 1", "b → (stays): 1", "c → c: 1", "a → d: 1"]
    ET.fromstring(eval_svg.handoff(handoff_figures([]) | ABOUT, [], FILE))
