"""What the documents do not hold is mostly refused before a model is asked; what they hold is not. See `evidence_set`."""

from __future__ import annotations

from uuid import UUID

import pytest

from chatbot.bootstrap import outside
from chatbot.core.passages import Passage, is_evidence
from chatbot.core.tenancy import TenantId
from chatbot.integrations.minilm import telling
from chatbot_house import settings_for
from evidence_set import Asked, asked_of, figures


def any_word_or_a_cosine_of_a_quarter(passage: Passage) -> bool:
    """The rule before this one."""
    return passage.shares_words or (passage.similarity or 0) >= 0.25


async def asked_in(part: str, app_url: str, valkey_url: str) -> list[Asked]:
    async with outside(settings_for(app_url, valkey_url)) as parts:
        await parts.database.verify()
        return await asked_of(parts, part)


# The rule was chosen with the first; the second was written afterwards. Measured on them: see docs/decisions/0024.
@pytest.mark.parametrize(
    ("part", "refused", "let_through"), [("tuned", 0.04, 0.30), ("held-out", 0.03, 0.45)]
)
async def test_hardly_an_answer_is_refused_and_far_fewer_strangers_are_let_through(
    app_url: str, valkey_url: str, part: str, refused: float, let_through: float
) -> None:
    """Of what the documents hold nearly all is answered; of what they do not, less than three quarters of what was before."""
    asked = await asked_in(part, app_url, valkey_url)
    now, before = figures(asked, is_evidence), figures(asked, any_word_or_a_cosine_of_a_quarter)
    assert min(now.answerable, now.unanswerable) >= 60
    wrong = [each.text for each in now.refused]
    assert len(wrong) <= refused * now.answerable, wrong
    # A passage that answers was found and is not shown: hardly more often than by the rule before.
    assert len(now.lost) <= len(before.lost) + 1, [each.text for each in now.lost]
    strangers = [each.text for each in now.let_through]
    assert len(strangers) <= let_through * now.unanswerable, strangers
    assert len(strangers) <= 0.75 * len(before.let_through), strangers


def test_names_and_codes_are_telling_and_what_everybody_says_is_not() -> None:
    """A word counts by how rare it is in the language, whatever documents the tenant has."""
    assert telling("What does error GX-2007 mean?") == ["gx-2007"]
    assert telling("May I bring my puppy along to Graz?") == ["puppy", "graz"]
    assert telling("How many weeks of the year do people work?") == []
    assert telling('a "quoted" or bracketed (R-17) word') == ["quoted", "bracketed", "r-17"]


def passage(*, similarity: float | None, shares_words: bool = False, shares_telling: bool = False) -> Passage:
    nobody = UUID(int=0)
    return Passage(
        tenant_id=TenantId(nobody), passage_id=nobody, document_id=nobody, title="", heading="", text="", similarity=similarity,
        shares_words=shares_words, shares_telling=shares_telling,
    )  # fmt: skip


def test_without_a_vector_any_word_will_do() -> None:
    """While the embedding service is away it is better to show too much than to answer nothing."""
    assert is_evidence(passage(similarity=None, shares_words=True))
    assert not is_evidence(passage(similarity=None))
    assert not is_evidence(passage(similarity=0.1, shares_words=True))
    assert is_evidence(passage(similarity=0.1, shares_words=True, shares_telling=True))
