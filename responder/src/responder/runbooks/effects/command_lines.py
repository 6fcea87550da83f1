"""The words of a command line, as a shell takes it apart: quotes, operators, redirections. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OPERATORS = (
    "&>>",
    "<<<",
    "<<-",
    "&&",
    "||",
    ">>",
    "<<",
    ">&",
    "<&",
    "&>",
    ">|",
    "|&",
    "<>",
    ";;",
    ";",
    "|",
    "&",
    ">",
    "<",
    "(",
    ")",
    "\n",
)

_SIGNS = frozenset(operator[0] for operator in _OPERATORS)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes, or an operator; `written` is the word with them."""

    text: str
    operator: bool = False
    written: str = ""


@dataclass(frozen=True, slots=True)
class Redirection:
    operator: str
    target: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a pipeline. `joint` is the operator in front of it, empty for the first; `written` are its words as
    the line has them, quotes and all.
    """

    words: tuple[str, ...]
    written: tuple[str, ...]
    redirections: tuple[Redirection, ...]
    joint: str


def take_apart(text: str) -> list[Word]:
    """The words and operators of a line. Raises ValueError for a quote that is never closed."""
    found: list[Word] = []
    word: list[str] = []
    begun = False
    at = start = 0

    def end() -> None:
        nonlocal begun
        if begun:
            found.append(Word("".join(word), written=text[start:at]))
        word.clear()
        begun = False

    while at < len(text):
        char = text[at]
        start = start if begun else at
        if char in " \t\r":
            end()
            at += 1
        elif char == "#" and not begun:
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline
        elif char in "'\"":
            piece, at = _quoted(text, at)
            word.append(piece)
            begun = True
        elif char == "\\":
            if text[at + 1 : at + 2] != "\n":
                word.append(text[at + 1 : at + 2])
                begun = True
            at += 2
        elif char in _SIGNS:
            operator = next(op for op in _OPERATORS if text.startswith(op, at))
            if operator[0] in "<>" and begun and "".join(word).isdigit():
                word.clear()
                begun = False
            end()
            found.append(Word(operator, operator=True))
            at += len(operator)
        else:
            word.append(char)
            begun = True
            at += 1
    end()
    return found


def _quoted(text: str, at: int) -> tuple[str, int]:
    quote = text[at]
    if quote == "'":
        close = text.find("'", at + 1)
        if close < 0:
            raise ValueError("No closing quotation")
        return text[at + 1 : close], close + 1
    piece: list[str] = []
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and text[at + 1 : at + 2] in tuple('"\\$`\n'):
            at += 1
        piece.append(text[at])
        at += 1
    if at >= len(text):
        raise ValueError("No closing quotation")
    return "".join(piece), at + 1


_REDIRECTS = frozenset({">", ">>", "<", "<<<", "<<", "<<-", ">&", "<&", "&>", "&>>", ">|", "<>"})


def commands(words: Sequence[Word]) -> list[Command]:
    """The commands of a line in order, each with the operator that joins it to the one before."""
    found: list[Command] = []
    current: list[Word] = []
    redirections: list[Redirection] = []
    joint = ""
    position = 0

    def end() -> None:
        if current or redirections:
            words, written = tuple(w.text for w in current), tuple(w.written for w in current)
            found.append(Command(words, written, tuple(redirections), joint))

    while position < len(words):
        word = words[position]
        if not word.operator:
            current.append(word)
        elif word.text in _REDIRECTS:
            following = words[position + 1] if position + 1 < len(words) else Word("")
            redirections.append(Redirection(word.text, "" if following.operator else following.text))
            position += not following.operator
        else:
            end()
            current, redirections, joint = [], [], word.text
        position += 1
    end()
    return found


_SINGLE = re.compile(r"'[^']*'")


def substitutions(text: str) -> list[str]:
    """What a line has run inside of it, by `$( )` or backticks, that single quotes do not hide; empty for none."""
    bare = _hide_single_quotes(text)
    inner = (
        re.findall(r"`([^`]*)`", bare)
        + re.findall(r"\$\(([^()]*)", bare)
        + re.findall(r"[<>]\(([^()]*)", bare)
    )
    return inner or (["?"] if re.search(r"\$\(|`|[<>]\(", bare) else [])


def _hide_single_quotes(text: str) -> str:
    """The text with what stands in single quotes taken out; an apostrophe inside of double quotes opens none."""
    out: list[str] = []
    at, double = 0, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == '"':
            double = not double
        elif char == "'" and not double:
            close = text.find("'", at + 1)
            at = len(text) if close < 0 else close + 1
            continue
        out.append(char)
        at += 1
    return "".join(out)


_OPENING = re.compile(r"^\s*(?:for|while|until|if|case|select)\b|\bdo\b\s*$|\{\s*$")
_BLOCKS = (("do", "done"), ("if", "fi"), ("case", "esac"))
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_]\w*)\1")
_GOES_ON = re.compile(r"(?:\\|\||&&|\|\||\\\s)$")


def logical_lines(text: str, line: int) -> list[tuple[str, int]]:
    """The commands of a script that starts at `line`, each with its line: a quote, a block or a here-document goes on.

    Where a quote is never closed, the rest is taken line by line.
    """
    rows = text.splitlines()
    found: list[tuple[str, int]] = []
    position = 0
    while position < len(rows):
        count = _extent(rows, position)
        joined = "\n".join(rows[position : position + count]).strip()
        if joined and not joined.startswith("#"):
            found.append((_joined(joined), line + position))
        position += count
    return found


def _joined(text: str) -> str:
    return re.sub(r"\\\s*\n\s*", " ", text).rstrip("\\").rstrip()


# A command of more lines than this is a script, for people to read.
_LONGEST = 200


def _extent(rows: Sequence[str], start: int) -> int:
    """How many rows the command at `start` takes."""
    if rows[start].lstrip().startswith("#") or not rows[start].strip():
        return 1
    for count in range(1, min(len(rows) - start, _LONGEST) + 1):
        if _is_whole("\n".join(rows[start : start + count])):
            return count
    return 1


def _is_whole(text: str) -> bool:
    last = text.rsplit("\n", 1)[-1].rstrip()
    if last.endswith("\\") or re.search(r"(?:\||&&)$", last.split(" #")[0].rstrip()):
        return False
    if heredoc := _HEREDOC.search(_hide_single_quotes(text)):
        return any(row.strip() == heredoc[2] for row in text.split("\n")[1:])
    try:
        words = take_apart(text)
    except ValueError:
        return False
    plain = [word.text for word in words if not word.operator or word.text in "()"]
    openings = sum(word in {"do", "if", "case"} or word == "{" for word in plain)
    return openings <= sum(word in {"done", "fi", "esac"} or word == "}" for word in plain)
