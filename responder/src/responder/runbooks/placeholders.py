"""Placeholders in all the forms that runbooks use. An unbound one makes a step not runnable."""

from __future__ import annotations

import re

from responder.core.runbook import Kind, Placeholder

# Words in capitals that stand for a value, whole or as the end of a longer one such as POD_NAME.
_CAPITALS = (
    "NAMESPACE|PODNAME|POD|NODE|HOSTNAME|CLUSTER|DEPLOYMENT|CONTAINER|USERNAME|SERVICE_NAME|DOMAIN|REGION|BUCKET"
    "|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:NAME|ID|IP|HOST|URL|URI|PORT|PATH|TOKEN|KEY|NAMESPACE|PASSWORD|SECRET|ADDRESS)"
)
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\{\{\s*\$?\.?([A-Za-z_][\w.-]*)\s*\}\}"), r"\1"),
    (re.compile(r"(?<!\{)\$\{([A-Za-z_]\w*)\}"), r"\1"),
    (re.compile(r"(?<![\w$\\])\$([A-Za-z_]\w*)"), r"\1"),
    (re.compile(r"<([A-Za-z][\w .:/-]{0,40}[\w]|[A-Za-z])>"), r"\1"),
    (re.compile(r"(?<![\w{$%.'\"])\{([A-Za-z][\w-]{0,40})\}(?!\})"), r"\1"),
    (re.compile(r"\[([A-Za-z][a-z]+(?:[ _-][A-Za-z]+){0,3})\](?!\()"), r"\1"),
    (re.compile(r"(?<![\w-])((?:YOUR|MY)[-_][A-Z0-9_-]+)\b"), r"\1"),
    (re.compile(rf"(?<![\w$./={{<-])({_CAPITALS})(?![\w=}}>-])"), r"\1"),
    (re.compile(r"\b(your-[a-z0-9.-]+|(?:[a-z0-9-]{1,63}\.){0,6}example\.(?:com|org|net))\b"), r"\1"),
    (
        re.compile(
            r"(?<![\w-])(attacker-ip|alert-name|pod-name|node-name|tenant-id|user-id|namespace-name)(?![\w-])"
        ),
        r"\1",
    ),
)
# What only looks like a placeholder: a language's own use of the sign.
_OWN_USE: dict[Kind, tuple[str, ...]] = {
    Kind.PROMQL: ("{", "["),
    Kind.LOGQL: ("{", "["),
    Kind.SQL: ("{", "["),
    Kind.SHELL: ("[",),
}
# Languages that compare with < and >: there, only one word in angles, where a value can stand, is a placeholder.
_COMPARING = frozenset({Kind.PROMQL, Kind.LOGQL, Kind.SQL})
# Fields of Go's templates, where a command is told how to print: `docker ps --format '{{.Names}}'`.
_GO_FIELD = re.compile(r"\{\{\s*\.")
_FORMATS = re.compile(r"--format\b|--template\b|\bgo-template\b|\bdocker inspect\b")
# Programs of another language in a shell's words: their braces and dollars are their own.
_PROGRAM = re.compile(
    r"\b(?:python[\d.]*|node|perl|ruby|[gm]?awk|jq|yq)\b[^|;&\n'\"]*?\s(?P<quote>['\"])(?P<single>(?:\\.|(?!(?P=quote)).)*)"
    r"|\b(?:python[\d.]*|node|perl|ruby|php)\b[^\n]*<<-?\s*(?P<mark>['\"]?)(?P<end>[A-Za-z_]\w*)(?P=mark)[^\n]*\n(?P<here>.*?)\n\s*(?P=end)\b",
    re.DOTALL,
)
_IN_ANGLES = re.compile(r"(?:(?<=['\"=(,])|(?<=[=(,] ))<[A-Za-z][\w.:-]*>")


def find(text: str, *, language: Kind) -> tuple[Placeholder, ...]:
    """The placeholders of a text, each name once, in order of appearance."""
    own_use = _OWN_USE.get(language, ())
    foreign = list(_PROGRAM.finditer(text)) if language is Kind.SHELL else []
    found: dict[str, Placeholder] = {}
    places: dict[str, int] = {}
    for pattern, name in _FORMS:
        for match in pattern.finditer(text):
            if match[0].startswith("{{") and _GO_FIELD.match(match[0]) and _FORMATS.search(text):
                continue
            if own_use and match[0].startswith(own_use) and not match[0].startswith("{{"):
                continue
            if (
                language in _COMPARING
                and match[0].startswith("<")
                and not _IN_ANGLES.match(text, match.start())
            ):
                continue
            if language is Kind.PROMQL and match[0].isupper():
                continue
            if match[0][0] in "{$" and any(_hides(program, match) for program in foreign):
                continue
            key = match.expand(name)
            found.setdefault(key, Placeholder(name=key, raw=match[0]))
            places.setdefault(key, match.start())
    inside = {
        name for name in found if any(name != other and f"{name}" in found[other].raw for other in found)
    }
    return tuple(found[name] for name in sorted(found, key=places.__getitem__) if name not in inside)


def _hides(program: re.Match[str], found: re.Match[str]) -> bool:
    """Braces in a program are its own; a dollar is the shell's, unless quotes keep it from the shell."""
    start, end = program.span("single") if program["quote"] else program.span("here")
    if not start <= found.start() < end:
        return False
    kept = program["quote"] == "'" or bool(program["mark"])
    return kept or not found[0].startswith("$")
