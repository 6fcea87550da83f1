"""Names of alerts in headings and in what follows `Alert:`; a sentence, a metric or an address names none."""

from __future__ import annotations

import re
from pathlib import PurePath

from responder.core.runbook import squash

CAMEL = r"[A-Za-z][A-Za-z0-9]*(?:[a-z0-9][A-Z]|_)[A-Za-z0-9_]*"
_NAME = re.compile(rf"(?<![\w-])({CAMEL})(?![\w-])")
# A heading that is a name, or several, and what teams put around it.
_DECORATION = re.compile(
    r"\[[^\]]*\]|\([^)]*\)|[`*\"\u201c\u201d]|^\s*\d+[.)]\s|\b(?:alert(?:s| names?)?|run-?books?|playbooks?)\b\s*:?"
    r"|\b(?:RUNBOOK|RB)-\d+\s*:?|[^\w\s,/|&:;.()\u2013\u2014-]",
    re.IGNORECASE,
)
_FOR = re.compile(r"^\s*(?:for|of)\s+(?=\S)", re.IGNORECASE)
_TITLE_NAMES = re.compile(
    rf"^[\s:\u2013\u2014-]*{CAMEL}(?:\s*(?:,|/|\||&|\band\b|\bor\b)\s*{CAMEL})*\s*(?:[:\u2013\u2014-]\s.*)?$"
)
_SAID = re.compile(
    rf"(?i:\balert(?:s|[ _]?names?)?\s*:\s*)[`\"\u201c]?({CAMEL}|[A-Z]\w+(?!\w|\s+[A-Za-z]))[`\"\u201d]?"
)
_QUOTED = re.compile(r"[`\"\u201c]([A-Za-z_][\w:.-]*)[`\"\u201d]")
_LINK = re.compile(r"\[([^\[\]]{1,300})\]\([^()]{0,2000}\)")
_HEAD = re.compile(r"\s+[\u2013\u2014-]\s+|\s*\(|\s+(?:when|if|is|fires|firing|alert)\b", re.IGNORECASE)
_MENTIONED = re.compile(
    r"\balerts?\b[^`.\n]{0,40}`(?P<after>[A-Za-z][\w-]*)`|`(?P<before>[A-Za-z][\w-]*)`[^`.\n]{0,20}\balerts?\b",
    re.IGNORECASE,
)

_FILE = re.compile(r"\.(?:ya?ml|json|md|sh|py|go|js|ts|conf|toml|rules)$", re.IGNORECASE)

# No name stands further behind in a line.
_LONGEST = 500


def bare(title: str) -> str:
    """A heading without its number, its signs and words such as "Runbook:"."""
    plain = _DECORATION.sub(" ", title[:_LONGEST])
    return _FOR.sub("", plain.strip(" :-\u2013\u2014"))


def title_names(title: str) -> tuple[str, ...]:
    """The names that a heading consists of, or says in brackets: `High Error Rate (Alert: HighErrorRate)`."""
    if said := _SAID.findall(title[:_LONGEST]):
        return tuple(dict.fromkeys(said))
    plain = bare(title)
    if _TITLE_NAMES.match(plain):
        head = re.split(r"(?:^|\s)[:\u2013\u2014-]\s|:\s", plain.lstrip(" :-\u2013\u2014"))[0]
        return tuple(dict.fromkeys(_NAME.findall(head)))
    return ()


def says_alert(title: str) -> bool:
    """Whether a heading says in so many words that it is an alert's: `Alert: DiskFull`, `DiskFull alert`."""
    return bool(re.search(r"\balert(?:[ _]?name)?\b", title, re.IGNORECASE) and title_names(title))


def alert_names(value: str) -> tuple[str, ...]:
    """The names in what follows `Alert:`: quoted ones, or nothing but names before a dash or a bracket."""
    plain = _LINK.sub(r"\1", value[:_LONGEST])
    if "://" in plain or "](#" in value:
        return ()
    if quoted := _QUOTED.findall(plain):
        # What is quoted further behind in a sentence is a name only where it is written as one.
        capital = [name for name in quoted if not name.islower()]
        first = _QUOTED.match(plain.strip(" *"))
        return tuple(dict.fromkeys(capital or (quoted if first and not _FILE.search(quoted[0]) else ())))
    head = _HEAD.split(plain.strip(" *"))[0].strip(" .,*")
    return title_names(head) or (
        (head,) if re.fullmatch(r"[A-Za-z_][\w:-]*", head) and _is_name(head, plain) else ()
    )


def _is_name(head: str, whole: str) -> bool:
    """A single word is a name where it stands alone, or is written as no word of a sentence is."""
    return head == whole.strip(" .,*") or bool(_NAME.fullmatch(head)) or "-" in head


def mentioned_names(text: str) -> tuple[str, ...]:
    """Names in quotes beside the word alert: "you got the alert `DiskFull`"."""
    found = (match["after"] or match["before"] for match in _MENTIONED.finditer(text[:_LONGEST]))
    return tuple(name for name in found if _NAME.fullmatch(name) and name[0].isupper())


def names_of_file(title: str, path: str) -> tuple[str, ...]:
    """The name that a file about one alert bears: a name by its form, or a single word that is also its heading."""
    stem = PurePath(path).stem
    single = bare(title)
    named = _NAME.fullmatch(stem) and not stem.islower() and not stem.isupper() and "_" not in stem
    return (stem,) if named or (single and single == stem) else ()


def aliases(title: str, path: str | None) -> frozenset[str]:
    """The words by which an entry without a name is found: its heading's, and its file's."""
    words = [title, bare(title), *([PurePath(path).stem] if path else [])]
    return frozenset(squash(word) for word in words) - {""}
