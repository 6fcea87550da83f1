"""The table of commands known to read, of the flags with which they write, and of the forms in which they never end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from responder.core.effect import Effect, Trait

# What a command that follows for ever is cut to, where it can be: enough to see what happens now.
ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`rewrite` is a bounded form of a command that never ends, or that waits for a person."""

    effect: Effect
    bounded: bool
    reason: str
    rewrite: tuple[str, ...] | None = None
    trait: Trait | None = None


Judge = Callable[[Sequence[str]], Judged]

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


def judge_command(words: Sequence[str]) -> Judged:
    """One command with its arguments, quotes already taken off."""
    if not words:
        return unknown("an empty command")
    folder, _, name = words[0].rpartition("/")
    arguments = words[1:]
    if folder not in _SYSTEM_FOLDERS:
        return unknown(f"'{words[0][:60]}' is a program of its own: judged by a person")
    if "=" in words[0]:
        return unknown("sets a variable for a command: judged by a person")
    if name in _RULES:
        return _RULES[name](arguments)
    if name in _INTERACTIVE:
        return interactive(f"{name} is interactive: it waits for a person")
    if name in _SCRATCH:
        return scratch(f"{name} writes files")
    if name in _MUTATING:
        return changes(f"{name} changes things")
    if name in _FREE:
        return READS
    return unknown(f"'{name[:40]}' is not a command known to read only")


# A command of a known name elsewhere can be anything.
_SYSTEM_FOLDERS = frozenset(
    {"", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}
)

_FREE = frozenset({
    "cat", "grep", "egrep", "fgrep", "zgrep", "head", "wc", "cut", "tr", "ls", "df", "du", "uptime", "ps", "uname", "id",
    "whoami", "who", "lsblk", "nproc", "dig", "nslookup", "host", "getent", "jq", "column", "nl", "stat", "lscpu", "lsof",
    "netstat", "pgrep", "echo", "printf", "true", "tac", "zcat", "base64", "md5sum", "sha256sum", "diff", "rev", "paste",
    "pwd", "which", "findmnt", "lspci", "lsmod", "dmidecode", "pg_isready", "basename", "dirname", "readlink", "locale",
    "groups", "last", "pidof", "pstree", "comm", "fold", "expr", "test",
})  # fmt: skip

_INTERACTIVE = frozenset({
    "vi", "vim", "nano", "emacs", "less", "more", "ssh", "htop", "man", "tmux", "screen", "telnet", "mysql", "irb",
    "mongo", "mongosh", "gdb", "visudo", "passwd", "ftp", "sftp", "iotop", "k9s",
})  # fmt: skip

_SCRATCH = frozenset({
    "cp", "mkdir", "touch", "tee", "wget", "tar", "unzip", "gzip", "gunzip", "scp", "rsync", "pg_dump",
})  # fmt: skip
_MUTATING = frozenset({
    "rm", "mv", "kill", "pkill", "killall", "chmod", "chown", "rmdir", "dd", "reboot", "shutdown", "service", "apt", "apt-get",
    "yum", "dnf", "npm", "pip", "truncate", "ln", "mount", "umount", "sysctl", "crontab", "terraform", "make",
    "ansible-playbook", "mkfs", "fsck", "useradd", "usermod", "swapoff", "swapon", "logrotate", "pg_restore", "createdb",
    "dropdb", "patch", "install",
})  # fmt: skip


def letters(word: str, *, valued: str = "") -> str:
    """The letters of bundled short flags: `-fu` is `f` and `u`. What follows a letter that takes a value is its value."""
    if not re.match(r"-[^-]", word):
        return ""
    for position, letter in enumerate(word[1:], start=1):
        if letter in valued:
            return word[1 : position + 1]
    return word[1:]


def _follows(arguments: Sequence[str], *, flags: str = "f", valued: str = "") -> bool:
    long = ("--follow", "--watch", "--retry")
    return any(w.startswith(long) or set(letters(w, valued=valued)) & set(flags) for w in arguments)


def _without(arguments: Sequence[str], *flags: str) -> list[str]:
    return [word for word in arguments if word.partition("=")[0] not in flags]


def _tail(arguments: Sequence[str]) -> Judged:
    if not _follows(arguments, flags="fF", valued="ncs"):
        return READS
    files = [w for w in arguments if not w.startswith("-") and not w.isdigit()]
    return endless("tail follows the file and never ends", "tail", "-n", str(ROWS), *files)


_CURL_SENDS = ("--data", "--form", "--json", "--upload-file", "--request-target", "--url-query-file")
_CURL_WRITES = (
    "--output", "--remote-name", "--config", "--cookie-jar", "--dump-header", "--trace", "--etag-save", "--libcurl",
)  # fmt: skip
_CURL_VALUED = "HAubemwxyYzCEQPtrR"


def _curl(arguments: Sequence[str]) -> Judged:
    for position, word in enumerate(arguments):
        found = letters(word, valued=_CURL_VALUED + "XdFToKcD")
        if word.startswith(_CURL_SENDS) or set(found) & set("dFT"):
            return changes(f"curl {word} sends data")
        writes = word.startswith(_CURL_WRITES) or set(found) & set("oOKcDJ")
        if writes and not (_names_output(word, found) and arguments[position + 1 :][:1] == ["/dev/null"]):
            return scratch(f"curl {word} writes a file")
        if "X" in found or word.startswith("--request"):
            attached = word.partition("=")[2] if word.startswith("--") else word.partition("X")[2]
            method = attached or next(iter(arguments[position + 1 :]), "")
            if method.upper() not in {"GET", "HEAD"}:
                return changes(f"curl sends {method.upper()}")
    reason = "curl without data is a GET; it is run with a time limit"
    return Judged(effect=Effect.READ, bounded=True, reason=reason)


def _names_output(word: str, found: str) -> bool:
    """Whether the word is `-o` or `--output`, perhaps in a bundle: into /dev/null it writes nothing that stays."""
    return word == "--output" or (found.endswith("o") and not set(found) & set("OKcDJ"))


def _unless(*flags: str, positional: int = 99) -> Judge:
    """A reader that writes with one of these flags, or with more than `positional` words."""

    def judge(arguments: Sequence[str]) -> Judged:
        found = next((word for word in arguments if word.startswith(flags)), None)
        if found:
            return changes(f"{found} makes it write")
        words = [word for word in arguments if not word.startswith("-")]
        if len(words) > positional:
            return changes(f"with '{words[positional][:40]}' it writes")
        return READS

    return judge


def _repeating(name: str, *flags: str, words: bool) -> Judge:
    """A reader that goes on for ever with one of these flags, or when given an interval without a count."""

    def judge(arguments: Sequence[str]) -> Judged:
        numbers = [word for word in arguments if word.isdigit()]
        if flags and any(word.startswith(flags) for word in arguments):
            return endless("it repeats and never ends", name)
        if words and len(numbers) == 1:
            return endless("an interval without a count never ends", name, *arguments, "3")
        return READS

    return judge


def _find(arguments: Sequence[str]) -> Judged:
    acting = {"-delete", "-exec", "-execdir", "-ok", "-okdir", "-fprint", "-fls", "-fprintf", "-fprint0"}
    writing = next((word for word in arguments if word in acting), None)
    return changes(f"find {writing} acts on files") if writing else READS


_SED_PRINTS = re.compile(r"^(?:\d+|\$|/[^/]*/)?(?:,(?:\d+|\$|/[^/]*/))?p$|^s(.)[^we]*?\1[^we]*?\1g?$")


def _sed(arguments: Sequence[str]) -> Judged:
    if any(w.startswith(("-i", "--in-place")) for w in arguments):
        return changes("sed -i writes the file")
    words = [w for w in arguments if not w.startswith("-")]
    plain = all(w in {"-n", "-E", "-r", "-nE", "-nr"} for w in arguments if w.startswith("-"))
    if words and plain and _SED_PRINTS.match(words[0]):
        return READS
    return unknown("a sed script can write files: judged by a person")


_AWK_ACTS = re.compile(r"[>|@]|\b(?:system|getline|close|fflush)\b")


def _awk(arguments: Sequence[str]) -> Judged:
    """A program that only picks and prints fields cannot write: it has no redirection, pipe, system or extension."""
    programs = positionals(arguments, frozenset({"-F", "-v"}))
    plain = all(w.startswith(("-F", "-v")) for w in arguments if w.startswith("-"))
    if programs and plain and not _AWK_ACTS.search(programs[0]):
        return READS
    return unknown("an awk program can write files and run commands")


def _dmesg(arguments: Sequence[str]) -> Judged:
    if _follows(arguments, flags="wW", valued="lfn"):
        return endless("dmesg follows and never ends", "dmesg")
    clearing = any(
        set(letters(w, valued="lfn")) & set("cCDEn") or w in {"--clear", "--read-clear"} for w in arguments
    )
    return changes("dmesg with this flag changes the kernel's log") if clearing else READS


def _ping(arguments: Sequence[str]) -> Judged:
    if any("c" in letters(word, valued="csiWwItTMQlmpS") for word in arguments):
        return READS
    return endless("ping without -c never ends", "ping", "-c", "5", *arguments)


def _journalctl(arguments: Sequence[str]) -> Judged:
    writing = next(
        (w for w in arguments if w.startswith(("--vacuum", "--rotate", "--flush", "--sync"))), None
    )
    if writing:
        return changes(f"journalctl {writing} changes the journal")
    if _follows(arguments, valued="unpSUtog"):
        kept = [re.sub(r"^-(\w*)f(\w*)$", r"-\1\2", word) for word in _without(arguments, "-f", "--follow")]
        return endless(
            "journalctl follows and never ends", "journalctl", "-n", str(ROWS), "--no-pager", *kept
        )
    return READS


def _watch(arguments: Sequence[str]) -> Judged:
    words = list(arguments)
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in {"-n", "--interval"} else words[1:]
    inner = judge_command(words) if words else unknown("watch without a command")
    if inner.effect is Effect.READ:
        return endless("watch repeats and never ends", *(inner.rewrite or words))
    return inner if inner.effect is Effect.MUTATE else unknown("watch repeats a command and never ends")


def _top(arguments: Sequence[str]) -> Judged:
    if any("b" in letters(word) for word in arguments) and any(word.startswith("-n") for word in arguments):
        return READS
    return endless("top is interactive and never ends", "top", "-b", "-n", "1")


def _verbs(
    name: str, reads: frozenset[str], writes: frozenset[str], *, valued: frozenset[str] = frozenset()
) -> Judge:
    def judge(arguments: Sequence[str]) -> Judged:
        words = positionals(arguments, valued)
        verb = words[0].lower() if words else ""
        if verb in writes or any(w.startswith("--output") for w in arguments):
            return changes(f"{name} {verb} changes things")
        if verb not in reads:
            return unknown(f"{name} {verb} is not known to read only")
        if any(w in {"-f", "--follow"} for w in arguments):
            kept = _without(arguments, "-f", "--follow")
            return endless(
                f"{name} {verb} follows and never ends", name, verb, "--tail", str(ROWS), *kept[1:]
            )
        if verb == "stats" and "--no-stream" not in arguments:
            return endless(f"{name} stats repeats and never ends", name, *arguments, "--no-stream")
        return READS

    return judge


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


def _redis(arguments: Sequence[str]) -> Judged:
    valued = frozenset({"-u", "-h", "-p", "-a", "-n", "--user", "--pass", "-s"})
    words = positionals(arguments, valued)
    if any(word in {"--stat", "--latency", "--latency-history"} for word in arguments):
        return endless("redis-cli repeats and never ends")
    if any(word in {"--bigkeys", "--memkeys", "--hotkeys"} for word in arguments):
        return READS
    if not words:
        return interactive("redis-cli without a command is interactive: it waits for a person")
    verb = words[0].lower()
    if verb in {"monitor", "subscribe", "psubscribe"}:
        return endless(f"redis-cli {verb} never ends")
    if verb in {"config", "client", "slowlog", "latency", "memory", "cluster", "acl"}:
        second = words[1].lower() if len(words) > 1 else ""
        reads = second in {
            "get",
            "list",
            "info",
            "len",
            "doctor",
            "usage",
            "stats",
            "nodes",
            "slots",
            "whoami",
            "latest",
            "history",
        }
        return READS if reads else unknown(f"redis-cli {verb} {second} is not known to read only")
    if verb in _REDIS_CHANGES:
        return changes(f"redis-cli {verb} changes data")
    return READS if verb in _REDIS_READS else unknown(f"redis-cli {verb} is not known to read only")


def _opaque(why: str) -> Judge:
    return lambda _: unknown(why)


def _inner(arguments: Sequence[str]) -> Judged:
    """A command that only starts the one behind it."""
    return judge_command(arguments)


_KUBECTL_READS = frozenset({
    "get", "describe", "logs", "top", "version", "cluster-info", "explain", "api-resources", "api-versions", "events", "status",
    "whoami", "projects",
})  # fmt: skip
# Commands with a second verb: those of the second that read.
_KUBECTL_SECOND = {
    "rollout": frozenset({"history"}),
    "config": frozenset({"view", "get-contexts", "current-context", "get-clusters"}),
    "auth": frozenset({"can-i", "whoami"}),
    "adm": frozenset({"top", "node-logs", "release"}),
    "image": frozenset({"info"}),
}
_KUBECTL_CHANGES = frozenset({
    "delete", "apply", "create", "patch", "replace", "scale", "autoscale", "set", "label", "annotate", "taint", "drain", "cordon",
    "uncordon", "expose", "run", "new-app", "start-build", "cancel-build", "tag", "import-image", "policy",
})  # fmt: skip
_KUBECTL_CHANGES_SECOND = frozenset({
    ("rollout", "restart"), ("rollout", "undo"), ("rollout", "pause"), ("rollout", "resume"), ("adm", "drain"),
    ("adm", "cordon"), ("adm", "uncordon"), ("adm", "taint"), ("adm", "policy"), ("adm", "prune"),
    ("adm", "certificate"), ("certificate", "approve"), ("certificate", "deny"),
})  # fmt: skip
_KUBECTL_VALUED = frozenset({
    "-n", "--namespace", "--context", "--kubeconfig", "--cluster", "--user", "-l", "--selector", "-c", "--container", "--as",
    "-s", "--server", "--token", "--request-timeout", "-o", "--output", "--field-selector", "--since", "--tail", "--sort-by",
    "--limit-bytes", "-L", "--as-group",
})  # fmt: skip


def _kubectl(arguments: Sequence[str], name: str = "kubectl") -> Judged:
    command, _, inner = _split_inner(arguments)
    words = positionals(command, _KUBECTL_VALUED)
    verb = words[0] if words else ""
    if verb in {"rsh", "edit", "attach", "port-forward", "proxy", "debug"}:
        return interactive(f"{name} {verb} is interactive or goes on for ever: it waits for a person")
    if verb == "exec":
        return _exec(command, inner, words)
    second = words[1] if len(words) > 1 else ""
    if verb == "rollout" and second == "status":
        return endless(f"{name} rollout status waits until the rollout ends")
    reads = verb in _KUBECTL_READS or second in _KUBECTL_SECOND.get(verb, frozenset())
    if verb in _KUBECTL_CHANGES or (verb, second) in _KUBECTL_CHANGES_SECOND:
        return changes(f"{name} {verb} changes the cluster")
    if not reads:
        return unknown(f"{name} {verb} {second} is not known to read only")
    if _follows(command, flags="f" if verb == "logs" else "w", valued="nlcoLs"):
        return _bounded_kubectl(name, verb, arguments)
    if _prints_a_secret(verb, second, command):
        return unknown("prints a secret, which does not belong into the evidence")
    return READS


def _prints_a_secret(verb: str, second: str, command: Sequence[str]) -> bool:
    written = " ".join(command)
    return (
        (
            verb == "get"
            and bool(re.match(r"secrets?(/|$)", second) and re.search(r"yaml|json|template", written))
        )
        or (verb == "config" and "--raw" in command)
        or (verb == "whoami" and bool({"-t", "--show-token"} & set(command)))
    )


def _bounded_kubectl(name: str, verb: str, arguments: Sequence[str]) -> Judged:
    kept = _without(arguments, "-f", "--follow", "-w", "--watch", "--watch-only")
    tail = [f"--tail={ROWS}"] if verb == "logs" and not any(w.startswith("--tail") for w in kept) else []
    return endless(f"{name} {verb} follows and never ends", name, *kept, *tail)


def _split_inner(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    words = list(arguments)
    if "--" not in words:
        return words, False, []
    at = words.index("--")
    return words[:at], True, words[at + 1 :]


def _exec(command: Sequence[str], inner: Sequence[str], words: Sequence[str]) -> Judged:
    """A command inside a container is judged as one here, unless it has a terminal."""
    if any("t" in letters(word, valued="nc") or word in {"--tty", "--stdin"} for word in command):
        return interactive("kubectl exec with a terminal is interactive: it waits for a person")
    started = inner or words[2:]
    judged = judge_command(started)
    if judged.effect is Effect.READ and judged.bounded:
        return Judged(effect=Effect.READ, bounded=True, reason=f"{started[0]} inside a container reads only")
    return unknown(f"runs a command inside a container: {judged.reason}")


_REDIS_READS = frozenset({
    "ping", "info", "dbsize", "llen", "get", "ttl", "type", "exists", "zcard", "scard", "hlen", "strlen", "pttl", "mget",
    "lrange", "time", "hget", "hgetall", "zrange", "smembers", "scan", "xlen", "lastsave", "role",
})  # fmt: skip
_REDIS_CHANGES = frozenset({
    "flushall", "flushdb", "del", "unlink", "set", "expire", "rename", "shutdown", "debug", "migrate", "failover", "replicaof",
    "slaveof", "lpush", "rpush", "hset", "hdel", "ltrim", "save", "bgsave", "bgrewriteaof",
})  # fmt: skip
_SYSTEMCTL_READS = frozenset({
    "status", "is-active", "is-enabled", "is-failed", "list-units", "show", "cat", "list-timers", "list-unit-files",
})  # fmt: skip
_GIT_READS = frozenset(
    {"log", "show", "diff", "status", "blame", "describe", "rev-parse", "shortlog", "ls-files"}
)
_DOCKER_READS = frozenset(
    {"ps", "images", "inspect", "logs", "version", "info", "top", "port", "stats", "history"}
)
_SYSTEMCTL_WRITES = frozenset({
    "start", "stop", "restart", "reload", "enable", "disable", "mask", "unmask", "kill", "daemon-reload", "isolate",
    "reset-failed", "try-restart", "reload-or-restart", "edit", "set-property", "reboot", "poweroff",
})  # fmt: skip
_GIT_WRITES = frozenset({
    "push", "commit", "reset", "checkout", "merge", "rebase", "revert", "clean", "pull", "clone", "switch", "restore",
    "cherry-pick", "apply", "am", "rm", "mv", "gc", "stash",
})  # fmt: skip
_DOCKER_WRITES = frozenset({
    "rm", "rmi", "stop", "start", "restart", "kill", "run", "push", "build", "prune", "compose", "update", "pause",
    "unpause", "create", "load", "import", "tag", "rename",
})  # fmt: skip
_HELM_WRITES = frozenset({"install", "upgrade", "uninstall", "delete", "rollback"})
_HELM_READS = frozenset({"list", "ls", "status", "history", "get", "version", "show", "search"})


def _iptables(arguments: Sequence[str]) -> Judged:
    found = set("".join(letters(word, valued="tjpsdAICDRNXPFZE") for word in arguments))
    listing = found & set("LS") or any(word.startswith("--list") for word in arguments)
    return (
        READS
        if listing and not found & set("ADIRFZNXPE")
        else changes("iptables changes the network's rules")
    )


def _ip(arguments: Sequence[str]) -> Judged:
    words = positionals(arguments, frozenset({"-family", "-n", "-netns"}))
    reads = len(words) < 2 or words[1] in {"show", "list", "ls", "get"}
    return READS if reads else changes(f"ip {' '.join(words[:2])} changes the network")


_RULES: Mapping[str, Judge] = {
    "tail": _tail,
    "curl": _curl,
    "find": _find,
    "sort": _unless("-o", "--output", "-T"),
    "uniq": _unless(positional=1),
    "date": _unless("-s", "--set", "-f"),
    "hostname": _unless("-F", "--file", "-b", positional=0),
    "ss": _unless("-K", "--kill"),
    "file": _unless("-C", "--compile"),
    "dmesg": _dmesg,
    "ip": _ip,
    "iptables": _iptables,
    "ip6tables": _iptables,
    "free": _repeating("free", "-s", "--seconds", words=False),
    "vmstat": _repeating("vmstat", words=True),
    "iostat": _repeating("iostat", words=True),
    "mpstat": _repeating("mpstat", words=True),
    "sar": _repeating("sar", words=True),
    "sed": _sed,
    "awk": _awk,
    "ping": _ping,
    "watch": _watch,
    "top": _top,
    "journalctl": _journalctl,
    "kubectl": _kubectl,
    "oc": partial(_kubectl, name="oc"),
    "systemctl": _verbs(
        "systemctl", _SYSTEMCTL_READS, _SYSTEMCTL_WRITES, valued=frozenset({"-n", "--lines", "-t", "-p"})
    ),
    "git": _verbs("git", _GIT_READS, _GIT_WRITES, valued=frozenset({"-C"})),
    "docker": _verbs("docker", _DOCKER_READS, _DOCKER_WRITES, valued=frozenset({"-H", "--context"})),
    "podman": _verbs("podman", _DOCKER_READS, _DOCKER_WRITES),
    "helm": _verbs(
        "helm", _HELM_READS, _HELM_WRITES, valued=frozenset({"-n", "--namespace", "--kube-context"})
    ),
    "redis-cli": _redis,
    "psql": _opaque("psql runs what it is given: write it as a sql block, which is judged"),
    "sudo": _opaque("sudo raises privileges"),
    "time": _inner,
    "xargs": _opaque("xargs runs another command"),
    "bash": _opaque("runs another shell"),
    "sh": _opaque("runs another shell"),
    "python": _opaque("runs a program"),
    "python3": _opaque("runs a program"),
}
