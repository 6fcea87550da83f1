"""How a document is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.passages import LONGEST, split


def test_headings_lead_the_way() -> None:
    """Each passage knows the headings above it, and a # in a code fence is no heading."""
    pieces = split("intro\n# A\none\n## B\ntwo\n```\n# not a heading\n```\n# C\nthree\n")
    assert [(piece.heading, piece.text.split("\n")[0]) for piece in pieces] == [
        ("", "intro"), ("A", "one"), ("A › B", "two"), ("C", "three"),
    ]  # fmt: skip


@given(st.text(alphabet=st.sampled_from("ab# .\n`"), max_size=4000))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    """Whatever the text, every word that is no heading is in some passage, and no passage is longer than the limit."""
    pieces = split(text)
    kept = "".join("".join(piece.text.split()) + "".join(piece.heading.split()) for piece in pieces)
    assert all(0 < len(piece.text) <= LONGEST for piece in pieces)
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            assert all(word[:50] in kept for word in line.split())
