"""What a statement does to the world, and the rule of trust that decides what may run by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    READ = "read"
    MUTATE = "mutate"
    UNKNOWN = "unknown"


class Runs(StrEnum):
    """What becomes of an action: run at once, offered for approval, or shown only."""

    AUTO = "auto"
    APPROVAL = "approval"
    NEVER = "never"


class Role(StrEnum):
    """What a section is for. It is the section's trust: only a diagnosis runs by itself, only a remedy may be approved."""

    META = "meta"
    CONTENTS = "contents"
    MEANING = "meaning"
    IMPACT = "impact"
    SYMPTOMS = "symptoms"
    DIAGNOSIS = "diagnosis"
    REMEDIATION = "remediation"
    PREVENTION = "prevention"
    ESCALATION = "escalation"
    PROCESS = "process"
    CONTACTS = "contacts"
    TEMPLATES = "templates"
    RESOURCES = "resources"
    UNKNOWN = "unknown"


class Trait(StrEnum):
    """What else is to be known of a command: that it never ends, waits for a person, or only makes files of its own."""

    ENDLESS = "endless"
    INTERACTIVE = "interactive"
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One query, command or request. `bounded` says that it ends by itself with a limited answer.

    `rewrite` is a bounded form that gives the same kind of answer, where there is one. `raised` says that it runs with more
    rights than whoever runs it has, as behind `sudo`.
    """

    text: str
    line: int
    effect: Effect
    bounded: bool
    reason: str
    rewrite: str | None = None
    trait: Trait | None = None
    raised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    runs: Runs
    reason: str


def decide(
    role: Role,
    statements: Sequence[Statement],
    *,
    runnable: bool,
    guessed: bool,
    unbound: Sequence[str],
    asked: Sequence[str] = (),
) -> Decision:
    """The rule of trust. A step runs by itself only if its section is diagnosis AND every statement is provably a read
    AND it is bounded AND every placeholder is bound; a remedy waits for a person; all else is shown with the reason.

    `runnable` is False for code and prose, `guessed` True where the fence names no language. `asked` are the names whose
    values a person gives with the approval: a step that runs by itself has nobody to ask.
    """
    if role not in {Role.DIAGNOSIS, Role.REMEDIATION}:
        where = "outside of a known section nothing is run" if role is Role.UNKNOWN else ""
        return Decision(runs=Runs.NEVER, reason=where or f"a section of {role} is never run")
    if not runnable or not statements:
        return Decision(runs=Runs.NEVER, reason="this is for people to read: no program runs it")
    if guessed and role is Role.DIAGNOSIS:
        return Decision(runs=Runs.NEVER, reason="the fence names no language; a guess is never run by itself")
    if unbound:
        names = ", ".join(unbound)
        kept = "; what an earlier command sets is not kept" if any(n.startswith("$") for n in unbound) else ""
        label = (
            ", or let the alert bring a label of that name"
            if all(n.startswith("{{") for n in unbound)
            else ""
        )
        return Decision(
            runs=Runs.NEVER, reason=f"no value for {names}: bind it in policies/bindings.toml{label}{kept}"
        )
    if asked and role is Role.DIAGNOSIS:
        return Decision(
            runs=Runs.NEVER,
            reason=f"{', '.join(asked)} is asked of the person who approves a remedy; nobody is asked before a step runs",
        )
    waiting = next((statement for statement in statements if statement.trait is Trait.INTERACTIVE), None)
    if waiting is not None and waiting.rewrite is None:
        return Decision(runs=Runs.NEVER, reason=f"for people to do: {waiting.reason}")
    if role is Role.REMEDIATION:
        guess = "; the fence names no language: what it is in is a guess" if guessed else ""
        asks = f", who is asked for {', '.join(asked)}" if asked else ""
        return Decision(runs=Runs.APPROVAL, reason=f"a remedy waits for a person{asks}{guess}")
    for statement in statements:
        if statement.effect is not Effect.READ:
            return Decision(
                runs=Runs.APPROVAL if statement.effect is Effect.MUTATE else Runs.NEVER,
                reason=f"not provably a read: {statement.reason}",
            )
        if not statement.bounded and statement.rewrite is None:
            return Decision(runs=Runs.NEVER, reason=f"not bounded: {statement.reason}")
        if statement.raised:
            return Decision(
                runs=Runs.NEVER, reason="a read, but with raised privileges: those are a person's to use"
            )
    rewritten = next((s for s in statements if not s.bounded), None)
    if rewritten:
        return Decision(runs=Runs.AUTO, reason=f"a read, bounded as: {rewritten.rewrite}")
    return Decision(runs=Runs.AUTO, reason="a bounded read in a diagnosis")
