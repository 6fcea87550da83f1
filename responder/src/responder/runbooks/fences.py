"""Fences and inline commands: the language they are in, and the statements they hold."""

from __future__ import annotations

import itertools
import re

from responder.core.effect import Effect, Statement
from responder.core.runbook import Action, Kind, Placeholder
from responder.runbooks import http_requests, placeholders, sql_blocks
from responder.runbooks.effects import judge
from responder.runbooks.effects.command_lines import logical_lines
from responder.runbooks.effects.promql import parses
from responder.runbooks.effects.shell import log_read

LANGUAGES = {
    **dict.fromkeys(
        ("sh", "bash", "shell", "console", "terminal", "zsh", "shell-session", "shellsession", "sh-session", "bash-session", "ksh",
         "commandline", "cli", "term"), Kind.SHELL
    ),
    **dict.fromkeys(("promql", "prometheus", "metricsql", "prom"), Kind.PROMQL),
    **dict.fromkeys(("sql", "psql", "postgresql", "postgres", "pgsql"), Kind.SQL),
    **dict.fromkeys(("http", "rest"), Kind.HTTP),
    **dict.fromkeys(("logql", "loki"), Kind.LOGQL),
    **dict.fromkeys(
        ("text", "txt", "plain", "plaintext", "output", "log", "logs", "markdown", "md", "none", "ascii", "mermaid"), Kind.TEXT
    ),
}  # fmt: skip
_PROMPTED = re.compile(r"^\s*\$\s+(?=\S)")
_SQL = re.compile(
    r"^\s*(?:select\s|with\s+\w+\s+as\b|insert\s+into\b|update\s+[\w.\"]+\s+set\b|delete\s+from\b|drop\s+(?:table|index)\b"
    r"|create\s+(?:table|index|policy|extension|view|role|user)\b|alter\s+(?:table|role|system)\b|explain\s|vacuum\b)",
    re.IGNORECASE,
)
_VERBS = re.compile(
    r"^\s*(?:[$#]\s+)?(?:sudo\s+)?(kubectl|oc|curl|wget|grep|tail|cat|head|ssh|systemctl|service|journalctl|docker|docker-compose|podman"
    r"|psql|mysql|redis-cli|git|ps|df|du|free|helm|aws|gcloud|az|terraform|ping|dig|nslookup|netstat|ss|top|watch|find|ls|export|cd|etcdctl"
    r"|nodetool|rabbitmqctl|amtool|promtool|openssl|nc|lsof|iostat|vmstat|dmesg|kafka-[a-z-]+(?:\.sh)?|ceph|virtctl|for|if"
    r"|rm|mv|cp|mkdir|kill|pkill|chmod|chown|umount|apt|apt-get|yum|dnf|pip3?|npm|python3|rsync|scp|nvidia-smi|sysctl|iptables|mongosh"
    r"|gitlab-ctl|consul|vault|nomad|argocd|crictl|jq|sed|awk|echo|gh|patronictl|pgbackrest)\s"
)


def fence(*, key: str, info: str, text: str, line: int, end_line: int) -> Action:
    """The action of a fence whose content starts at `line`."""
    language = info.split(maxsplit=1)[0].strip("{}.").lower() if info.split() else ""
    kind = LANGUAGES.get(language)
    guessed = not language
    if kind is None:
        kind = sniffed(text) if guessed else Kind.CODE
    return _action(
        key=key, kind=kind, language=language, text=text, line=line, end_line=end_line, guessed=guessed
    )


_ENDPOINT = re.compile(
    r"^(?:(?P<method>GET|HEAD)\s+)?(?P<path>/(?:[\w.-]+/)*(?:health\w*|livez?|readyz?|ready|ping|status|metrics|api/[\w/.-]+)(?:/[\w.-]+)*)$"
)
# Commands that are worth running where they stand in a sentence: they have an argument, and look at something.
_INLINE_COMMAND = re.compile(
    r"^(?:sudo\s+)?(?:curl|kubectl|oc|tail|journalctl|systemctl|docker|redis-cli|psql|helm|dig|df|du|free|ping|git|grep|netstat|ss|ps|top|etcdctl"
    r"|nslookup|dmesg|nodetool|aws|gcloud|crictl|podman|ceph|nvidia-smi|mongosh|mysql|iostat|vmstat|lsof|rabbitmqctl|amtool|promtool"
    r"|argocd|virtctl|patronictl|pgbackrest|chronyc|consul|istioctl|docker-compose)\s+\S"
)
_METRIC = re.compile(
    r"^[a-z_:][a-z0-9_:]*_(?:total|bucket|count|sum|seconds|bytes|ratio|percent|info|up|current|length|depth|lag|state|status|failures"
    r"|errors|requests|connections|duration|usage|size)$"
)


def inline(*, key: str, text: str, line: int, queries: bool = False) -> Action | None:
    """The action of inline code, or None where it is only a name: an endpoint, a command; with `queries`, a metric or query."""
    text = text.strip()
    if found := _ENDPOINT.match(text):
        request = f"{found['method'] or 'GET'} {found['path']}"
        return _action(key=key, kind=Kind.HTTP, language="endpoint", text=request, line=line, end_line=line)
    if _INLINE_COMMAND.match(text):
        return _action(key=key, kind=Kind.SHELL, language="inline", text=text, line=line, end_line=line)
    if queries and _SQL.match(text) and " " in text:
        return _action(key=key, kind=Kind.SQL, language="inline", text=text, line=line, end_line=line)
    if queries and (_METRIC.match(text) or (re.search(r"\w\s*[({]", text) and "_" in text and parses(text))):
        return _action(key=key, kind=Kind.PROMQL, language="inline", text=text, line=line, end_line=line)
    return None


def _action(
    *, key: str, kind: Kind, language: str, text: str, line: int, end_line: int, guessed: bool = False
) -> Action:
    requests = ()
    if kind is Kind.HTTP:
        pairs = http_requests.requests(text, line=line)
        requests = tuple(request for request, _ in pairs)
        statements = tuple(statement for _, statement in pairs)
    else:
        statements = tuple(_statements(kind, text, line))
        requests = sql_blocks.requests(statements) if kind is Kind.SQL else ()
    return Action(
        key=key,
        kind=kind,
        language=language,
        line=line,
        end_line=end_line,
        text=text,
        statements=statements,
        placeholders=_placeholders(kind, text, statements),
        requests=requests,
        log_read=log_read(statements[0].rewrite or statements[0].text)
        if _is_one_read(kind, statements)
        else None,
        guessed=guessed,
    )


def _placeholders(kind: Kind, text: str, statements: tuple[Statement, ...]) -> tuple[Placeholder, ...]:
    """Those of what would be run: not of comments, nor of the sample output after a prompt."""
    if kind in {Kind.CODE, Kind.TEXT}:
        return ()
    run = text if kind is Kind.HTTP else "\n".join(statement.text for statement in statements)
    return placeholders.find(run, language=kind)


def _is_one_read(kind: Kind, statements: tuple[Statement, ...]) -> bool:
    return kind is Kind.SHELL and len(statements) == 1 and statements[0].effect is Effect.READ


def _statements(kind: Kind, text: str, line: int) -> list[Statement]:
    match kind:
        case Kind.PROMQL | Kind.LOGQL:
            parts = _queries(text, line)
        case Kind.SQL:
            parts = _sql(text, line)
        case Kind.SHELL:
            parts = _commands(text, line)
        case _:
            return []
    judged = [judge(kind, part, at) for part, at in parts[:STATEMENTS_LIMIT]]
    if len(parts) > STATEMENTS_LIMIT:
        judged.append(_too_many(parts[STATEMENTS_LIMIT:]))
    return judged


# A block with more statements than this is a script, for people to read.
STATEMENTS_LIMIT = 100


def _too_many(parts: list[tuple[str, int]]) -> Statement:
    return Statement(
        text=parts[0][0],
        line=parts[0][1],
        effect=Effect.UNKNOWN,
        bounded=False,
        reason=f"{len(parts)} statements more than the {STATEMENTS_LIMIT} that are judged",
    )


def _queries(text: str, line: int) -> list[tuple[str, int]]:
    """Queries apart by blank lines; a block that does not parse whole is taken line by line. Comments are no queries."""
    if any(_PROMPTED.match(row) for row in text.splitlines()):
        # A prompt before a query: the rest is its answer.
        rows = list(enumerate(text.splitlines(), start=line))
        return [(_PROMPTED.sub("", row).strip(), n) for n, row in rows if _PROMPTED.match(row)]
    blocks: list[tuple[str, int]] = []
    for block, at in _blocks(text, line):
        kept = [
            (row, n) for n, row in enumerate(block.splitlines(), start=at) if not row.lstrip().startswith("#")
        ]
        kept = [(row, n) for row, n in kept if row.strip()]
        if not kept:
            continue
        whole = "\n".join(row for row, _ in kept)
        if len(kept) == 1 or parses(whole) or not all(parses(row) for row, _ in kept):
            blocks.append((whole.strip(), kept[0][1]))
        else:
            blocks += [(row.strip(), n) for row, n in kept]
    return blocks


def _blocks(text: str, line: int) -> list[tuple[str, int]]:
    blocks: list[tuple[list[str], int]] = []
    for number, row in enumerate(text.splitlines(), start=line):
        if not row.strip():
            blocks.append(([], number + 1))
            continue
        if not blocks:
            blocks.append(([], number))
        blocks[-1][0].append(row)
    return [("\n".join(rows), at) for rows, at in blocks if rows]


_SQL_PIECE = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?:(?P=tag)|\Z)|;",
    re.DOTALL,
)


def _sql(text: str, line: int) -> list[tuple[str, int]]:
    """Statements apart by semicolons outside of quotes, dollar quotes and comments; comments alone are none."""
    ends = [piece.end() for piece in _SQL_PIECE.finditer(text) if piece[0] == ";"]
    found: list[tuple[str, int]] = []
    for start, end in itertools.pairwise([0, *ends, len(text)]):
        part = text[start:end]
        if _SQL_COMMENT.sub("", part).strip("; \n\t\r"):
            begun = start + (len(part) - len(part.lstrip()))
            found.append((part.strip(), line + text.count("\n", 0, begun)))
    return found


_SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def _open(command: str) -> str:
    return command.rstrip("\\").rstrip()


def _commands(text: str, line: int) -> list[tuple[str, int]]:
    """The commands of a block. Where there are prompts, only they are commands, the rest is output."""
    rows = text.splitlines()
    if not any(_PROMPTED.match(row) for row in rows):
        return logical_lines(text, line)
    commands: list[tuple[str, int]] = []
    going_on = False
    for number, row in enumerate(rows, start=line):
        bare = row.strip()
        if going_on:
            commands[-1] = (f"{_open(commands[-1][0])} {bare.removeprefix('> ')}", commands[-1][1])
        elif _PROMPTED.match(row):
            commands.append((_PROMPTED.sub("", row).strip(), number))
        else:
            continue
        going_on = bare.endswith("\\")
    return [(_open(command), number) for command, number in commands]


def sniffed(text: str) -> Kind:
    """The language that a text looks like: for showing it well, since a guess is never run."""
    first = next((row for row in text.splitlines() if row.strip() and not row.lstrip().startswith("#")), "")
    if _SQL.match(first):
        return Kind.SQL
    if _VERBS.match(first) or first.lstrip().startswith("$ "):
        return Kind.SHELL
    if "(" in text and "{" in text and parses(text.strip()):
        return Kind.PROMQL
    return Kind.TEXT
