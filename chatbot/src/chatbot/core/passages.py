"""What is stored of a document and found again: passages, and which of them are evidence."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chatbot.core.tenancy import TenantId

# A vector has length one, so that the inner product of two is the cosine of their angle.
Vector = tuple[float, ...]
DIMENSIONS = 384

# What is nearest to anything at all is still nearest to something: from this cosine on it has to do with the question.
# Measured in tests/test_answers_rest_on_evidence.py; docs/decisions/0024 has the table.
NEAR = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A passage before it is stored. `heading` is the path of headings above it: 'Refunds › Deadlines'."""

    heading: str
    text: str
    page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stored passage. Carries its tenant so that whoever is handed one can check it.

    `similarity` is the cosine with the question, from -1 to 1; None where the question has no vector.
    `shares_words` says whether the full-text search found it too, `shares_telling` whether it holds one of the question's
    words that are rare in the language.
    """

    tenant_id: TenantId
    passage_id: UUID
    document_id: UUID
    title: str
    heading: str
    text: str
    page: int | None = None
    similarity: float | None = None
    shares_words: bool = True
    shares_telling: bool = False


def embedded_text(piece: Piece) -> str:
    """What the model reads of a piece: its headings help to tell what it is about."""
    return f"{piece.heading}\n{piece.text}" if piece.heading else piece.text


def is_evidence(passage: Passage) -> bool:
    """Whether the passage has to do with the question at all. Without a vector of the question, any shared word will do."""
    if passage.similarity is None:
        return passage.shares_words
    return passage.similarity >= NEAR or passage.shares_telling
