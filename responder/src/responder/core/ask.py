"""An ask: a placeholder whose value only the person who approves can say, such as the address of an attacker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# One line that a person can type and check on a phone.
ANSWER_LIMIT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# How much of a wrong answer is told back.
_TOLD = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """`prompt` is the question; an answer is taken only if the whole of it matches `pattern`."""

    name: str
    prompt: str
    pattern: re.Pattern[str]

    def problem(self, answer: str) -> str | None:
        """What is wrong with an answer, and what to do; None for one that is taken."""
        if not answer:
            return f"'{self.name}' is not given: {self.prompt}."
        if len(answer) > ANSWER_LIMIT:
            return f"'{self.name}' has {len(answer)} characters; give at most {ANSWER_LIMIT}."
        told = ascii(answer[:_TOLD]) + ("…" if len(answer) > _TOLD else "")
        if _CONTROL.search(answer):
            return f"'{self.name}' is {told}, which holds a line break or another control character; give one line of text."
        if self.pattern.fullmatch(answer) is None:
            return f"'{self.name}' is {told}; it must match {self.pattern.pattern} as a whole. Correct it and look again."
        return None


def problems(asks: Sequence[Ask], answers: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by name: each ask needs its answer, and nothing else is taken."""
    found = {ask.name: problem for ask in asks if (problem := ask.problem(answers.get(ask.name, "")))}
    known = [ask.name for ask in asks]
    takes = f"it asks for {', '.join(known)}" if known else "it asks for nothing"
    for name in answers:
        if name not in known:
            found[name] = f"'{name[:_TOLD]}' is not asked for by this remedy: {takes}. Leave it out."
    return found
