"""Shell, judged by a table of commands known to read and of their writing flags. Nothing here ever runs a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from responder.core.effect import Effect, Statement
from responder.core.runbook import LogRead

# What makes a shell do more than run the words of one pipeline: never judged, so never a read.
_HIDDEN = re.compile(r"\$\(|`|<\(|>\(|<<")
_OPERATORS = frozenset({";", "&", "&&", "||", ">", ">>", "<", ">&", "&>", ">|", "(", ")", "|&"})

_FREE = frozenset({
    "cat", "grep", "egrep", "fgrep", "zgrep", "head", "wc", "cut", "tr", "ls", "df", "du", "uptime", "ps", "uname", "id",
    "whoami", "who", "lsblk", "nproc", "dig", "nslookup", "host", "getent", "jq", "column", "nl", "stat", "lscpu", "lsof",
    "netstat", "pgrep", "echo", "printf", "true", "tac", "zcat",
})  # fmt: skip

_INTERACTIVE = frozenset({
    "vi", "vim", "nano", "emacs", "less", "more", "ssh", "top", "htop", "watch", "man", "tmux", "screen", "telnet",
})  # fmt: skip
_MUTATING = frozenset({
    "rm", "mv", "cp", "kill", "pkill", "killall", "chmod", "chown", "mkdir", "rmdir", "touch", "tee", "dd", "reboot", "shutdown",
    "service", "apt", "apt-get", "yum", "npm", "pip", "truncate", "ln", "mount", "umount", "iptables", "sysctl", "crontab",
    "terraform",
})  # fmt: skip

_KUBECTL_READS = frozenset(
    {"get", "describe", "logs", "top", "version", "cluster-info", "explain", "api-resources", "events"}
)
_REDIS_READS = frozenset({
    "ping", "info", "dbsize", "llen", "get", "ttl", "type", "exists", "slowlog", "memory", "zcard", "scard", "hlen", "strlen",
    "lrange", "time",
})  # fmt: skip
_SYSTEMCTL_READS = frozenset({"status", "is-active", "is-enabled", "is-failed", "list-units", "show", "cat"})
_GIT_READS = frozenset({"log", "show", "diff", "status", "blame", "describe", "rev-parse", "shortlog"})
_DOCKER_READS = frozenset({"ps", "images", "inspect", "logs", "version", "info", "top", "port", "stats"})

Judged = tuple[Effect, bool, str]
_READ: Judged = (Effect.READ, True, "a command known to read only")


def shell(text: str, line: int) -> Statement:
    """One command line. A pipeline is a read when every part of it is; anything chained or substituted is unknown."""
    if _HIDDEN.search(text):
        return _statement(
            text, line, (Effect.UNKNOWN, False, "substitutions and here-documents are not followed")
        )
    try:
        words = _words(text)
    except ValueError as error:
        return _statement(text, line, (Effect.UNKNOWN, False, f"does not read as a command: {error}"))
    chained = [word for word in words if word in _OPERATORS]
    if chained:
        return _statement(
            text, line, (Effect.UNKNOWN, False, f"'{chained[0]}' chains or redirects: judged by a person")
        )
    parts = _split(words)
    judged = [_command(part) for part in parts]
    for verdict in judged:
        if verdict[0] is not Effect.READ:
            return _statement(text, line, verdict)
    unbounded = next((verdict for verdict in judged if not verdict[1]), None)
    if unbounded:
        return _statement(text, line, unbounded, rewrite=_rewrite(parts))
    return _statement(text, line, judged[0])


def _statement(text: str, line: int, judged: Judged, rewrite: str | None = None) -> Statement:
    effect, bounded, reason = judged
    return Statement(text=text, line=line, effect=effect, bounded=bounded, reason=reason, rewrite=rewrite)


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


def _command(words: Sequence[str]) -> Judged:
    if not words:
        return Effect.UNKNOWN, False, "an empty command"
    name, arguments = words[0], words[1:]
    if "=" in name:
        return Effect.UNKNOWN, False, "sets a variable for a command: judged by a person"
    if name in _INTERACTIVE:
        return Effect.UNKNOWN, False, f"{name} is interactive: it waits for a person"
    if name in _MUTATING:
        return Effect.MUTATE, True, f"{name} changes things"
    if name in _RULES:
        return _RULES[name](arguments)
    if name in _FREE:
        return _READ
    return Effect.UNKNOWN, False, f"'{name[:40]}' is not a command known to read only"


def _letters(word: str, *, valued: str = "") -> str:
    """The letters of bundled short flags: `-fu` is `f` and `u`. What follows a letter that takes a value is its value."""
    if not re.match(r"-[^-]", word):
        return ""
    for position, letter in enumerate(word[1:], start=1):
        if letter in valued:
            return word[1 : position + 1]
    return word[1:]


def _follows(arguments: Sequence[str], *, letters: str = "f", valued: str = "") -> bool:
    long = ("--follow", "--watch", "--retry")
    return any(w.startswith(long) or set(_letters(w, valued=valued)) & set(letters) for w in arguments)


def _tail(arguments: Sequence[str]) -> Judged:
    if _follows(arguments, letters="fF", valued="ncs"):
        return Effect.READ, False, "tail follows the file and never ends"
    return _READ


_CURL_SENDS = ("--data", "--form", "--json", "--upload-file", "--request-target")
_CURL_WRITES = (
    "--output",
    "--remote-name",
    "--config",
    "--cookie-jar",
    "--dump-header",
    "--trace",
    "--etag-save",
    "--libcurl",
)
_CURL_VALUED = "HAubemwxyYzCEQPtrR"


def _curl(arguments: Sequence[str]) -> Judged:
    for position, word in enumerate(arguments):
        letters = _letters(word, valued=_CURL_VALUED + "XdFToKcD")
        if word.startswith(_CURL_SENDS) or set(letters) & set("dFT"):
            return Effect.MUTATE, True, f"curl {word} sends data"
        if word.startswith(_CURL_WRITES) or set(letters) & set("oOKcDJ"):
            return Effect.MUTATE, True, f"curl {word} writes a file"
        if "X" in letters or word.startswith("--request"):
            attached = word.partition("=")[2] if word.startswith("--") else word.partition("X")[2]
            method = attached or next(iter(arguments[position + 1 :]), "")
            if method.upper() not in {"GET", "HEAD"}:
                return Effect.MUTATE, True, f"curl sends {method.upper()}"
    return Effect.READ, True, "curl without data is a GET; it is run with a time limit"


def _unless(*flags: str, positional: int = 99) -> Callable[[Sequence[str]], Judged]:
    """A reader that writes with one of these flags, or with more than `positional` words."""

    def judge(arguments: Sequence[str]) -> Judged:
        found = next((word for word in arguments if word.startswith(flags)), None)
        if found:
            return Effect.MUTATE, True, f"{found} makes it write"
        words = [word for word in arguments if not word.startswith("-")]
        if len(words) > positional:
            return Effect.MUTATE, True, f"with '{words[positional][:40]}' it writes"
        return _READ

    return judge


def _repeating(*flags: str, words: bool) -> Callable[[Sequence[str]], Judged]:
    """A reader that goes on for ever with one of these flags, or when given an interval without a count."""

    def judge(arguments: Sequence[str]) -> Judged:
        numbers = [word for word in arguments if word.isdigit()]
        endless = any(word.startswith(flags) for word in arguments) or (words and len(numbers) == 1)
        return (Effect.READ, False, "it repeats and never ends") if endless else _READ

    return judge


def _find(arguments: Sequence[str]) -> Judged:
    writing = next(
        (
            w
            for w in arguments
            if w in {"-delete", "-exec", "-execdir", "-ok", "-okdir", "-fprint", "-fls", "-fprintf"}
        ),
        None,
    )
    return (Effect.MUTATE, True, f"find {writing} acts on files") if writing else _READ


def _sed(arguments: Sequence[str]) -> Judged:
    if any(w.startswith(("-i", "--in-place")) for w in arguments):
        return Effect.MUTATE, True, "sed -i writes the file"
    return Effect.UNKNOWN, False, "a sed script can write files: judged by a person"


def _ping(arguments: Sequence[str]) -> Judged:
    return _READ if "-c" in arguments else (Effect.READ, False, "ping without -c never ends")


def _journalctl(arguments: Sequence[str]) -> Judged:
    if _follows(arguments, valued="unpSUtog"):
        return Effect.READ, False, "journalctl follows and never ends"
    writing = next((w for w in arguments if w.startswith(("--vacuum", "--rotate", "--flush"))), None)
    return (Effect.MUTATE, True, f"journalctl {writing} changes the journal") if writing else _READ


def _kubectl(arguments: Sequence[str]) -> Judged:
    verb = next((w for w in arguments if not w.startswith("-")), "")
    if verb in _KUBECTL_READS and _follows(arguments, letters="fw", valued="nlco"):
        return Effect.READ, False, f"kubectl {verb} follows and never ends"
    if verb in _KUBECTL_READS:
        return _READ
    return Effect.MUTATE, True, f"kubectl {verb} may change the cluster"


def _verbs(name: str, reads: frozenset[str]) -> Callable[[Sequence[str]], Judged]:
    def judge(arguments: Sequence[str]) -> Judged:
        verb = next((w.lower() for w in arguments if not w.startswith("-")), "")
        if verb not in reads or any(w.startswith("--output") for w in arguments):
            return Effect.MUTATE, True, f"{name} {verb} may change things"
        if any(w in {"-f", "--follow"} for w in arguments) or (
            verb == "stats" and "--no-stream" not in arguments
        ):
            return Effect.READ, False, f"{name} {verb} follows and never ends"
        return _READ

    return judge


def _redis(arguments: Sequence[str]) -> Judged:
    words = list(arguments)
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in {"-u", "-h", "-p", "-a", "-n"} else words[1:]
    verb = words[0].lower() if words else ""
    if verb == "monitor":
        return Effect.READ, False, "redis-cli monitor never ends"
    return (
        _READ
        if verb in _REDIS_READS
        else (Effect.UNKNOWN, False, f"redis-cli {verb} is not known to read only")
    )


def _opaque(why: str) -> Callable[[Sequence[str]], Judged]:
    return lambda _: (Effect.UNKNOWN, False, why)


_RULES: Mapping[str, Callable[[Sequence[str]], Judged]] = {
    "tail": _tail,
    "curl": _curl,
    "find": _find,
    "sort": _unless("-o", "--output", "-T"),
    "uniq": _unless(positional=1),
    "date": _unless("-s", "--set", "-f"),
    "hostname": _unless("-F", "--file", "-b", positional=0),
    "ss": _unless("-K", "--kill"),
    "file": _unless("-C", "--compile"),
    "free": _repeating("-s", "--seconds", words=False),
    "vmstat": _repeating(words=True),
    "sed": _sed,
    "ping": _ping,
    "journalctl": _journalctl,
    "kubectl": _kubectl,
    "oc": _kubectl,
    "systemctl": _verbs("systemctl", _SYSTEMCTL_READS),
    "git": _verbs("git", _GIT_READS),
    "docker": _verbs("docker", _DOCKER_READS),
    "redis-cli": _redis,
    "psql": _opaque("psql runs what it is given: write it as a sql block, which is judged"),
    "sudo": _opaque("sudo raises privileges"),
    "xargs": _opaque("xargs runs another command"),
    "awk": _opaque("an awk program can write files and run commands"),
    "bash": _opaque("runs another shell"),
    "sh": _opaque("runs another shell"),
    "python": _opaque("runs a program"),
    "python3": _opaque("runs a program"),
}

ROWS = 500


def _rewrite(parts: Sequence[Sequence[str]]) -> str | None:
    """The bounded form of a pipeline that begins with `tail -f`, or None."""
    first = list(parts[0])
    if first[0] != "tail":
        return None
    files = [w for w in first[1:] if not w.startswith("-") and not w.isdigit()]
    bounded = ["tail", "-n", str(ROWS), *files]
    return " | ".join(shlex.join(part) for part in [bounded, *parts[1:]])


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
