"""What is concluded of one command, and how a conclusion is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from responder.core.effect import Effect, Trait

# What a command that follows for ever is cut to, where it can be: enough to see what happens now.
ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`rewrite` is a bounded form of a command that never ends, or that waits for a person. `raised` says that it runs with
    more rights than whoever runs it has.
    """

    effect: Effect
    bounded: bool
    reason: str
    rewrite: tuple[str, ...] | None = None
    trait: Trait | None = None
    raised: bool = False


# How the words of a command are judged; and a rule for one command, which may ask for the command inside of it.
Inner = Callable[[Sequence[str]], Judged]
Rule = Callable[[Sequence[str], Inner], Judged]

READS = Judged(effect=Effect.READ, bounded=True, reason="a command known to read only")


def changes(reason: str) -> Judged:
    return Judged(effect=Effect.MUTATE, bounded=True, reason=reason)


def unknown(reason: str) -> Judged:
    return Judged(effect=Effect.UNKNOWN, bounded=False, reason=reason)


def endless(reason: str, *rewrite: str) -> Judged:
    return Judged(
        effect=Effect.READ, bounded=False, reason=reason, rewrite=rewrite or None, trait=Trait.ENDLESS
    )


def interactive(reason: str) -> Judged:
    return Judged(effect=Effect.UNKNOWN, bounded=False, reason=reason, trait=Trait.INTERACTIVE)


def scratch(reason: str) -> Judged:
    """Changes files, but mostly those of whoever investigates."""
    return Judged(effect=Effect.MUTATE, bounded=True, reason=reason, trait=Trait.SCRATCH)


def unless_it_changes(inner: Judged, why: str) -> Judged:
    """A command that hides another: what the other changes is told, of all else nothing is concluded."""
    return inner if inner.effect is Effect.MUTATE else unknown(why)


def letters(word: str, *, valued: str = "") -> str:
    """The letters of bundled short flags: `-fu` is `f` and `u`. What follows a letter that takes a value is its value."""
    if not re.match(r"-[^-]", word):
        return ""
    for position, letter in enumerate(word[1:], start=1):
        if letter in valued:
            return word[1 : position + 1]
    return word[1:]


def follows(arguments: Sequence[str], *, flags: str = "f", valued: str = "") -> bool:
    long = ("--follow", "--watch", "--retry")
    return any(
        (w.startswith(long) and not w.endswith("=false")) or set(letters(w, valued=valued)) & set(flags)
        for w in arguments
    )


def without(arguments: Sequence[str], *flags: str) -> list[str]:
    return [word for word in arguments if word.partition("=")[0] not in flags]


def positionals(arguments: Sequence[str], valued: frozenset[str]) -> list[str]:
    """The words that are neither flags nor the values of the flags in `valued`."""
    words: list[str] = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            words.append(word)
    return words
