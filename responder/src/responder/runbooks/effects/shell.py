"""Shell, judged by a table of commands known to read. Nothing here ever runs a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from responder.core.effect import Effect, Statement, Trait
from responder.core.runbook import LogRead
from responder.runbooks.effects import files, network
from responder.runbooks.effects.command_lines import Command, commands, substitutions, take_apart
from responder.runbooks.effects.commands import judge_command
from responder.runbooks.effects.verdict import Judged, scratch, unknown

_KEYWORDS = frozenset({
    "for", "while", "until", "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "function", "{", "}", "!",
    "[[", "[",
    "select", "in",
})  # fmt: skip
_PIPES = frozenset({"|", "|&"})
# What makes a line more than commands in a row: left behind, in a shell of its own, or a case.
_MORE = frozenset({"&", "(", ")", ";;"})
# A placeholder such as <pod-name>: its value becomes a word, never a redirection. `<in>out` is none.
_IN_ANGLES = re.compile(r"<([A-Za-z](?:[\w.:/-]|\s(?=[\w.:/-])){0,40})>(?!\w)")
_SETS = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)=")
# A longer line is a script, for people to read.
LONGEST = 4_000


def shell(text: str, line: int) -> Statement:
    """One command line. It is a read when every command in it is; anything substituted or unknown makes it unknown."""
    if len(text) > LONGEST:
        return _statement(text, line, unknown("too long to be judged: a script is for people to read"))
    try:
        words = take_apart(_IN_ANGLES.sub(_as_a_word, text))
    except ValueError as error:
        return _statement(text, line, unknown(f"does not read as a command: {error}"))
    parts = commands(words)
    judged = [_judge(part) for part in parts]
    changing = next((verdict for verdict in judged if verdict.effect is Effect.MUTATE), None)
    if hidden := substitutions(text):
        inner = (shell(piece, line) for piece in hidden)
        worst = next((s for s in inner if s.effect is Effect.MUTATE), None)
        sets = _SETS.match(text)
        reason = (
            f"sets {sets[1]} from a command, which no other command sees: each runs by itself"
            if sets
            else "substitutions and here-documents are not followed"
        )
        found = changing or (scratch(worst.reason) if worst else unknown(reason))
        return _statement(text, line, found)
    if changing or not judged:
        return _statement(text, line, changing or unknown("an empty command"))
    if watched := _watched(text):
        return _once(shell(watched, line), text)
    placed = next((verdict for verdict in judged if verdict.effect is not Effect.READ), None)
    joint = next((word.text for word in words if word.operator and word.text in _MORE), None)
    if placed or joint:
        return _statement(text, line, placed or unknown(f"'{joint}' makes it more than commands in a row"))
    raised = any(verdict.raised for verdict in judged)
    unbounded = next((verdict for verdict in judged if not verdict.bounded), None)
    if unbounded is None:
        return _statement(text, line, replace(judged[0], raised=raised))
    rewrite = _rewrite(commands(take_apart(_IN_ANGLES.sub(_marked, text))), judged)
    rewrite = rewrite and rewrite.translate(_UNMARKED)
    return _statement(text, line, replace(unbounded, raised=raised), rewrite=rewrite)


def _watched(text: str) -> str | None:
    """The line that a `watch` with nothing around it repeats, as it is written between its quotes."""
    parts = commands(take_apart(_IN_ANGLES.sub(_marked, text)))
    if len(parts) != 1 or parts[0].redirections:
        return None
    found = files.watched_line(parts[0].words)
    return found and found.translate(_UNMARKED)


def _once(inner: Statement, text: str) -> Statement:
    """What is watched, run once, is the bounded form."""
    if inner.effect is not Effect.READ:
        # As with one command: of what repeats something that cannot be placed, nothing more is concluded.
        trait = inner.trait if inner.effect is Effect.MUTATE else None
        return replace(inner, text=text, rewrite=None, trait=trait)
    rewrite = inner.text if inner.bounded else inner.rewrite
    return replace(
        inner, text=text, bounded=False, reason=files.WATCHES, rewrite=rewrite, trait=Trait.ENDLESS
    )


def _as_a_word(angles: re.Match[str]) -> str:
    return "_".join(angles[1].split())


# A placeholder in angles is one word while the line is written again; these stand for its signs.
_MARKS = {"<": "\ue000", ">": "\ue001", " ": "\ue002"}
_UNMARKED = str.maketrans({mark: sign for sign, mark in _MARKS.items()})


def _marked(angles: re.Match[str]) -> str:
    return angles[0].translate(str.maketrans(_MARKS))


def _judge(part: Command) -> Judged:
    """One command with its redirections: one that writes a file changes things, however well the command reads."""
    words = list(part.words)
    while words and words[0] in _KEYWORDS:
        words.pop(0)
    closed = any(r.operator == "<" and r.target == "/dev/null" for r in part.redirections)
    fed = closed or part.joint in _PIPES
    handshake = network.s_client(words) if fed else None
    judged = handshake or (
        judge_command(words) if words else unknown("a program of the shell: judged by a person")
    )
    if judged.effect is Effect.MUTATE:
        return judged
    for redirection in part.redirections:
        if redirection.operator in {"<<", "<<-", "<>"}:
            return unknown("substitutions and here-documents are not followed")
        if ">" in redirection.operator and not _is_harmless(redirection.target):
            return scratch(f"writes the file {redirection.target[:60] or '?'}")
    if len(words) < len(part.words):
        return unknown(f"'{part.words[0]}' is a program of the shell: judged by a person")
    return judged


def _is_harmless(target: str) -> bool:
    return target in {"/dev/null", "/dev/stderr", "/dev/stdout", "1", "2", "-"}


def _statement(text: str, line: int, judged: Judged, rewrite: str | None = None) -> Statement:
    return Statement(
        text=text,
        line=line,
        effect=judged.effect,
        bounded=judged.bounded,
        reason=judged.reason,
        rewrite=rewrite,
        trait=judged.trait,
        raised=judged.raised,
    )


def _rewrite(parts: Sequence[Command], judged: Sequence[Judged]) -> str | None:
    """The line with each endless command in its bounded form, or None where one has none. Words stay as they are written."""
    line = ""
    for part, verdict in zip(parts, judged, strict=True):
        if any("<" in redirection.operator for redirection in part.redirections):
            return None
        if not verdict.bounded and verdict.rewrite is None:
            return None
        joint = {"": "", "\n": "; ", ";": "; "}.get(part.joint, f" {part.joint} ")
        words = part.words if verdict.bounded else verdict.rewrite or ()
        line += joint + " ".join(_spelled(word, part) for word in words)
    return line


def _spelled(word: str, part: Command) -> str:
    """A word of a bounded form: as the line spells it, or quoted so that its variables stay variables."""
    for text, written in zip(part.words, part.written, strict=True):
        if _plainly(word) == _plainly(text):
            return written
    grown_from = (
        written
        for text, written in zip(part.words, part.written, strict=True)
        if " " in text and word.startswith(text.rstrip("; \n"))
    )
    origin = next(grown_from, "")
    if (origin.startswith('"') and "\\$" not in origin) or ("$" in word and not origin.startswith("'")):
        return '"' + re.sub(r'([\\"`])', r"\\\1", word) + '"'
    return shlex.quote(word)


def _plainly(word: str) -> str:
    """A word as it was judged: the placeholder in it without its angles."""
    return re.sub("[\ue000\ue001]", "", word).replace("\ue002", "_")


def log_read(text: str) -> LogRead | None:
    """The log file that a judged command reads, if it is `tail [-n N] FILE [| grep PATTERN]`."""
    try:
        parts = commands(take_apart(text))
    except ValueError:
        return None
    plain = all(part.joint in {"", "|"} and not part.redirections for part in parts)
    if plain and parts and parts[0].words[:1] == ("tail",):
        return _tail_read([part.words for part in parts])
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


_PLAIN = frozenset({"-s", "-S", "-sS", "-f", "-fsS", "-i", "-v", "-L", "--silent", "--fail"})


def plain_get(text: str) -> str | None:
    """The address of a `curl` that is nothing but a GET, or None: that needs no shell either."""
    try:
        parts = commands(take_apart(text))
    except ValueError:
        return None
    if len(parts) != 1 or parts[0].redirections:
        return None
    words = parts[0].words
    addresses = [w for w in words[1:] if not w.startswith("-")]
    flags = {w for w in words[1:] if w.startswith("-")}
    if words[:1] != ("curl",) or len(addresses) != 1 or not flags <= _PLAIN:
        return None
    return addresses[0]
