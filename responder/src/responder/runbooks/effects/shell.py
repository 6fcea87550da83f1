"""Shell, judged by a table of commands known to read. Nothing here ever runs a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from responder.core.effect import Effect, Statement
from responder.core.runbook import LogRead
from responder.runbooks.effects.commands import Judged, judge_command, unknown

# What makes a shell do more than run the words of one pipeline: never judged, so never a read.
_HIDDEN = re.compile(r"\$\(|`|<\(|>\(|<<")
_OPERATORS = frozenset({";", "&", "&&", "||", ">", ">>", "<", ">&", "&>", ">|", "(", ")", "|&"})
_KEYWORDS = frozenset(
    {"for", "while", "until", "if", "then", "else", "fi", "do", "done", "case", "esac", "function", "{", "}"}
)
_HARMLESS = re.compile(r"\s*(?:[12&]?>\s*/dev/null|2>&1)(?=\s|$)")


def shell(text: str, line: int) -> Statement:
    """One command line. A pipeline is a read when every part of it is; anything chained or substituted is unknown."""
    if _HIDDEN.search(text):
        return _statement(text, line, unknown("substitutions and here-documents are not followed"))
    try:
        words = _words(_HARMLESS.sub("", text))
    except ValueError as error:
        return _statement(text, line, unknown(f"does not read as a command: {error}"))
    chained = next((word for word in words if word in _OPERATORS), None)
    if chained:
        return _statement(text, line, _worst(words, chained))
    if words and words[0] in _KEYWORDS:
        return _statement(text, line, unknown(f"'{words[0]}' is a program of the shell: judged by a person"))
    parts = _split(words)
    judged = [judge_command(part) for part in parts]
    worst = next((verdict for verdict in judged if verdict.effect is not Effect.READ), None)
    if worst:
        return _statement(text, line, worst)
    unbounded = next((verdict for verdict in judged if not verdict.bounded), None)
    if unbounded is None:
        return _statement(text, line, judged[0])
    return _statement(text, line, unbounded, rewrite=_rewrite(parts, judged))


def _worst(words: Sequence[str], operator: str) -> Judged:
    """Of commands that are chained, one that changes things is told; otherwise nothing is concluded."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in _OPERATORS or word == "|":
            parts.append([])
        else:
            parts[-1].append(word)
    changing = next(
        (j for part in parts if part and (j := judge_command(part)).effect is Effect.MUTATE), None
    )
    return changing or unknown(f"'{operator}' chains or redirects: judged by a person")


def _statement(text: str, line: int, judged: Judged, rewrite: str | None = None) -> Statement:
    return Statement(
        text=text,
        line=line,
        effect=judged.effect,
        bounded=judged.bounded,
        reason=judged.reason,
        rewrite=rewrite,
        trait=judged.trait,
    )


def _rewrite(parts: Sequence[Sequence[str]], judged: Sequence[Judged]) -> str | None:
    """The pipeline with each endless part in its bounded form, or None where one has none."""
    bounded: list[Sequence[str]] = []
    for part, verdict in zip(parts, judged, strict=True):
        words = part if verdict.bounded else verdict.rewrite
        if words is None:
            return None
        bounded.append(words)
    return " | ".join(shlex.join(part) for part in bounded)


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return list(lexer)


def _split(words: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def log_read(text: str) -> LogRead | None:
    """The log file that a judged command reads, if it is `tail [-n N] FILE [| grep PATTERN]` or `grep PATTERN FILE`."""
    try:
        parts = _split(_words(text))
    except ValueError:
        return None
    if parts[0][:1] == ["tail"]:
        return _tail_read(parts)
    return None


def _tail_read(parts: Sequence[Sequence[str]]) -> LogRead | None:
    lines, words = 10, list(parts[0][1:])
    files: list[str] = []
    while words:
        word = words.pop(0)
        if word in {"-n", "--lines"} and words and words[0].lstrip("+-").isdigit():
            lines = int(words.pop(0).lstrip("+-"))
        elif word.startswith("-"):
            return None
        else:
            files.append(word)
    pattern = None
    if len(parts) == 2 and parts[1][0] == "grep" and len(parts[1]) == 2:
        pattern = parts[1][1]
    elif len(parts) > 1:
        return None
    return LogRead(path=files[0], pattern=pattern, lines=lines) if len(files) == 1 else None


def plain_get(text: str) -> str | None:
    """The address of a `curl` that is nothing but a GET, or None: that needs no shell either."""
    try:
        words = _words(text)
    except ValueError:
        return None
    addresses = [w for w in words[1:] if not w.startswith("-")]
    flags = {w for w in words[1:] if w.startswith("-")}
    if (
        words[:1] != ["curl"]
        or len(addresses) != 1
        or not flags <= {"-s", "-S", "-sS", "-f", "-fsS", "-i", "-v", "-L", "--silent", "--fail"}
    ):
        return None
    return addresses[0]
