"""`[n]` that the sources do not hold never reach the reader, however the model writes them and wherever the stream cuts them."""

from __future__ import annotations

import re
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.citations import Citations, without_citations
from chatbot_house import Chatbot, Upstream, text_of

# Two sources. What the model writes, and what may be shown of it.
CASES: dict[str, tuple[str, str]] = {
    "held": ("Within 30 days [1].", "Within 30 days [1]."),
    "not held": ("Within 30 days [9].", "Within 30 days."),
    "between words": ("one [9] two", "one two"),
    "some of several": ("days [1, 7].", "days [1]."),
    "side by side": ("days[1][9].", "days[1]."),
    "a range": ("days [1-3].", "days [1][2]."),
    "zero": ("days [0].", "days."),
    "full-width": ("days ［１］ and 【2】 and ［９］.", "days [1] and [2] and."),
    "superscript and circled": ("days [¹][⁹][②].", "days [1][2]."),
    "another script's digits": ("days [٩].", "days."),
    "invisible between": ("days [\u200b9\u2060].", "days."),
    "as taught elsewhere": ("days 【9†policy.md】 and [^1].", "days and [1]."),
    "nested": ("days [[9]7] and [[1]].", "days and [[1]]."),
    "a very long number": ("days [" + "9" * 500 + "].", "days."),
    "in a line of code": ("`a[9]` [9]", "`a[9]`"),
    "in a fence": ("```\na[9]\n```\n[9] out", "```\na[9]\n```\nout"),
    "in a longer fence": ("````\n```\n[9]\n````\n", "````\n```\n[9]\n````\n"),
    "a lone backtick": ("`one [9]\n\ntwo [9]", "`one [9]\n\ntwo"),
    "a link": ("[9](https://acme.example/a[9]b) [9]", "[9](https://acme.example/a[9]b)"),
    "words in brackets": ("[see below] [9]", "[see below]"),
    "escaped": ("\\[9]", "\\[9]"),
    "never closed": ("days [9", "days [9"),
    "at the start of a line": ("- [9] first\n- [2] second", "- first\n- [2] second"),
    "square metres": ("9 m² [2]", "9 m² [2]"),
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("what", CASES)
def test_only_what_is_held_is_cited(what: str, step: int) -> None:
    """The same for every way of cutting the text into pieces."""
    written, expected = CASES[what]
    assert filtered([written[at : at + step] for at in range(0, len(written), step)]) == expected


PARTS = st.sampled_from(
    ["[", "]", "1", "2", "9", ",", "-", " ", "\n", "`", "```", "(", ")", "a", "［", "】", "⁹", "\\"]
)


@given(st.lists(PARTS, max_size=30), st.data())
def test_no_cut_makes_a_difference_and_nothing_foreign_is_left(parts: list[str], data: st.DataObject) -> None:
    """Cut anywhere, the text is the same; outside of code and links, no plain `[n]` beyond the sources is left in it."""
    written = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    edges = [0, *cuts, len(written)]
    whole = filtered([written])
    assert filtered([written[low:high] for low, high in pairwise(edges)]) == whole
    if not set(written) & set("`\\("):
        assert not re.search(r"\[(?![12]\])\d+\]", whole)


def test_most_pieces_pass_through_at_once() -> None:
    """A piece without a bracket or a last space is not held back: the filter adds no wait to a token."""
    citations = Citations(sources=2)
    assert [citations.feed(piece) for piece in ("Within", " 30", " days", ".")] == [
        "Within",
        " 30",
        " days",
        ".",
    ]


def test_a_quoted_passage_cites_nothing_of_its_own() -> None:
    """Footnotes of a document are not our citations."""
    assert without_citations("A refund [3] is possible [12].") == "A refund is possible."


async def test_the_stored_answer_is_the_streamed_one_byte_for_byte(
    chatbot: Chatbot, groq: Upstream, superuser_url: str
) -> None:
    """Markers split over tokens, dropped and kept: what was streamed is what is in the database, and what is read again."""
    groq.tokens = [
        "Within 30",
        " days [",
        "1",
        "]",
        " [",
        "7].",
        " ［",
        "９］ At ",
        "once 【1】",
        " ",
        "\n\n`x[5]`",
    ]
    _, events, _ = await chatbot.ask("When is a refund possible?")
    streamed = text_of(events)
    assert streamed == "Within 30 days [1]. At once [1] \n\n`x[5]`"
    with psycopg.connect(superuser_url) as conn:
        rows = conn.execute("SELECT content FROM messages WHERE role = 'assistant'").fetchall()
    assert rows == [(streamed,)]
    conversation = events[-1][1]["conversation_id"]
    _, shown = await chatbot.call("GET", f"/api/conversations/{conversation}")
    assert shown["messages"][1]["content"] == streamed


def filtered(pieces: list[str]) -> str:
    citations = Citations(sources=2)
    return "".join([*(citations.feed(piece) for piece in pieces), citations.end()])
