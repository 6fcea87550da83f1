"""How a document is cut into passages, with the tokenizer of the real model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.core.outline import Block, outline_of_markdown
from chatbot.core.passages import embedded_text
from chatbot.core.pieces import MOST_LETTERS, MOST_TOKENS, SPECIAL_TOKENS, cut
from chatbot.integrations import minilm

TOKENS = minilm.load().tokens

words = st.text(alphabet="abé漢🙂.!?-_'\n\t€ß", min_size=1, max_size=400)
texts = st.lists(words, max_size=30).map(" ".join)
blocks = st.builds(Block, level=st.integers(0, 3), text=texts, page=st.none())


def test_headings_lead_the_way() -> None:
    """Each passage knows the headings above it, and a # in a code fence is no heading."""
    pieces = cut(
        outline_of_markdown(
            "intro\n# A\none\n## B\ntwo\n```\n# no heading\n```\n\nC\n=\nthree\n\nD\n-\nfour\n"
        ),
        TOKENS,
    )
    assert [(piece.heading, piece.text.split("\n")[0]) for piece in pieces] == [
        ("", "intro"), ("A", "one"), ("A › B", "two"), ("C", "three"), ("C › D", "four"),
    ]  # fmt: skip


def test_a_heading_with_nothing_beneath_it_is_not_lost() -> None:
    """A heading without text is a passage of its own; one with headings beneath lives on in their path."""
    pieces = cut(outline_of_markdown("# Prices\n## Free\n## Paid\nTen a month.\n"), TOKENS)
    assert [(piece.heading, piece.text) for piece in pieces] == [
        ("Prices", "Free"), ("Prices › Paid", "Ten a month."),
    ]  # fmt: skip


def test_sentences_stay_whole() -> None:
    """A long text is cut after sentences, so that a quotation can be read by itself."""
    sentence = "The warranty of the pump covers parts and labour for two years after delivery."
    pieces = cut([Block(level=0, text=" ".join([sentence] * 100))], TOKENS)
    assert len(pieces) > 5
    assert all(piece.text.startswith("The warranty") and piece.text.endswith("delivery.") for piece in pieces)
    assert all(len(TOKENS(piece.text)) > MOST_TOKENS // 2 for piece in pieces[:-1])


def test_a_word_without_end_is_cut() -> None:
    """The model takes a word of any length for one token; letters are bounded all the same."""
    pieces = cut([Block(level=0, text="x" * 50_000)], TOKENS)
    assert "".join(piece.text for piece in pieces) == "x" * 50_000
    assert max(len(piece.text) for piece in pieces) <= MOST_LETTERS


@settings(max_examples=150, deadline=None)
@given(st.lists(blocks, max_size=8))
def test_nothing_is_lost_and_nothing_is_too_long(document: list[Block]) -> None:
    """Whatever the text, each letter of it is in a passage, in its order, and the model reads each passage to its end."""
    pieces = cut(document, TOKENS)
    for piece in pieces:
        assert piece.text.strip()
        assert len(TOKENS(embedded_text(piece))) + SPECIAL_TOKENS <= MOST_TOKENS
    kept = "".join("".join(piece.text.split()) for piece in pieces)
    at = 0
    for block in document:
        wanted = "".join(block.text.split())
        if not block.level:
            found = kept.find(wanted, at)
            assert found >= 0
            at = found + len(wanted)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_markdown_keeps_every_letter(text: str) -> None:
    """Reading Markdown loses nothing but the marks of its headings."""
    marks = str.maketrans("", "", "#=-")
    found = "".join("".join(block.text.split()) for block in outline_of_markdown(text))
    assert found.translate(marks) == "".join(text.split()).translate(marks)
