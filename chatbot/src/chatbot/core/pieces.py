"""Blocks → pieces: along headings, paragraphs and sentences, each short enough for the model to read whole.

The text under a heading is cut into spans that lie side by side, so that nothing can be lost between two of them.
A cut falls after a paragraph if one ends in the second half of what fits, else after a sentence, else after a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from chatbot.core.outline import Block
from chatbot.core.passages import Piece, embedded_text

# What all-MiniLM-L6-v2 reads, with its two special tokens; the rest of a longer text it would leave out silently.
MOST_TOKENS = 256
SPECIAL_TOKENS = 2
# Of headings, what is read before each piece of their text; the path itself is kept whole.
LONGEST_HEADING = 200
# A word without end is one token for the model: letters are bounded as well.
MOST_LETTERS = 2_000
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n\s*")

Tokens = Callable[[str], Sequence[tuple[int, int]]]
"""The tokens of a text, without special ones, as (start, end) of its letters."""


def cut(blocks: Sequence[Block], tokens: Tokens) -> list[Piece]:
    """The pieces in order. None has more than MOST_TOKENS with its heading and the special tokens."""
    return [piece for heading, body in _sections(blocks) for piece in _pieces(heading, body, tokens)]


def _sections(blocks: Sequence[Block]) -> Iterator[tuple[str, Block]]:
    """Each text with the path of headings above it; a heading with nothing beneath it is text itself."""
    path: list[Block] = []
    childless: Block | None = None
    for block in blocks:
        if not block.level:
            childless = None
            yield _path(path), block
            continue
        if childless is not None and block.level <= childless.level:
            yield _path(path[:-1]), childless
        path = [*(above for above in path if above.level < block.level), block]
        childless = block
    if childless is not None:
        yield _path(path[:-1]), childless


def _path(headings: Sequence[Block]) -> str:
    """The innermost headings that fit into LONGEST_HEADING letters, with at least a part of the last."""
    names = [" ".join(heading.text.split()) for heading in headings]
    path = " › ".join(name for name in names if name)
    return path if len(path) <= LONGEST_HEADING else path[-LONGEST_HEADING:].partition(" ")[2]


def _pieces(heading: str, body: Block, tokens: Tokens) -> Iterator[Piece]:
    text = body.text
    spans = tokens(text)
    room = MOST_TOKENS - SPECIAL_TOKENS - len(tokens(heading))
    start, first = 0, 0
    while start < len(text):
        end = _end(text, spans, start, first, room)
        piece = Piece(heading=heading, text=text[start:end].strip(), page=body.page)
        # Tokens are counted once for the whole text; at a cut within a word the count can differ.
        while len(tokens(embedded_text(piece))) > MOST_TOKENS - SPECIAL_TOKENS:
            end = start + max(1, (end - start) * 3 // 4)
            piece = Piece(heading=heading, text=text[start:end].strip(), page=body.page)
        if piece.text:
            yield piece
        start = end
        while first < len(spans) and spans[first][0] < start:
            first += 1


def _end(text: str, spans: Sequence[tuple[int, int]], start: int, first: int, room: int) -> int:
    """Where the piece that begins at `start` ends; `first` is its first token."""
    limit = len(text) if first + room >= len(spans) else spans[first + room][0]
    limit = min(limit, start + MOST_LETTERS)
    if limit >= len(text):
        return len(text)
    half, quarter = start + (limit - start) // 2, start + (limit - start) // 4
    for mark, least in ((_PARAGRAPH, half), (_SENTENCE, quarter)):
        ends = [match.end() for match in mark.finditer(text, start, limit) if match.end() >= least]
        if ends:
            return ends[-1]
    space = text.rfind(" ", start + 1, limit)
    return space + 1 if space > half else max(limit, start + 1)
