"""Trace contexts: what is written can be read, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.propagation import TraceContext, checked_state, redriven, root_id, root_of, span_id

trace_ids = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: text.strip("0"))
span_ids = st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda text: text.strip("0"))
contexts = st.builds(TraceContext, trace_ids, span_ids, is_sampled=st.booleans())

RUN_ID = "01a209f1cc121ff401e7a257a9d6bc4d"


@given(contexts)
def test_what_is_written_is_read_as_it_was(context: TraceContext) -> None:
    assert TraceContext.read(str(context)) == context


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    found = TraceContext.read(text)
    assert found is None or str(found)[3:52] == text[3:52]


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "00",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 31}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-more",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f" 00-{'a' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01\n",
    ],
)
def test_what_is_malformed_is_no_context(traceparent: str | None) -> None:
    assert TraceContext.read(traceparent) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = TraceContext.read(f"01-{'a' * 32}-{'b' * 16}-03-what-comes-then")
    assert found == TraceContext("a" * 32, "b" * 16, is_sampled=True)


@pytest.mark.parametrize("state", ["a=1", "a=1,b=2", "tenant@vendor=x y", " a=1 , b=2"])
def test_a_well_formed_state_goes_on_as_it_is(state: str) -> None:
    assert checked_state(state) == state


@pytest.mark.parametrize("state", [None, "", "nonsense", "A=1", "a=ü", "a=1\n", ",", "a=" + "x" * 600])
def test_a_malformed_state_goes_nowhere(state: str | None) -> None:
    assert checked_state(state) is None


def test_ids_of_spans_are_the_same_for_ever() -> None:
    assert (root_id(RUN_ID), span_id("process", RUN_ID, 2, 1)) == ("2ba3f50bd6f2d9dd", "a61a05d8cf3579e4")


def test_a_run_without_a_root_has_the_one_that_its_id_gives() -> None:
    assert root_of(RUN_ID, None, is_sampled=True) == TraceContext(RUN_ID, root_id(RUN_ID), is_sampled=True)


def test_a_redriven_run_is_a_trace_of_its_own_and_sampled_like_the_first() -> None:
    earlier = TraceContext("a" * 32, "b" * 16, is_sampled=False)
    assert redriven(RUN_ID, str(earlier)) == str(TraceContext(RUN_ID, root_id(RUN_ID), is_sampled=False))
    assert redriven(RUN_ID, None) is None
