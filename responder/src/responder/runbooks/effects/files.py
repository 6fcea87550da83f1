"""Rules for commands that read files, logs and the machine: with which flags they write, and in which forms they never end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from responder.core.effect import Effect
from responder.runbooks.effects.verdict import (
    READS,
    ROWS,
    Inner,
    Judged,
    Rule,
    changes,
    endless,
    follows,
    interactive,
    letters,
    positionals,
    scratch,
    unknown,
    without,
)


def _tail(arguments: Sequence[str], _: Inner) -> Judged:
    if not follows(arguments, flags="fF", valued="ncs"):
        return READS
    files = positionals(
        arguments, frozenset({"-n", "--lines", "-c", "--bytes", "-s", "--pid", "--sleep-interval"})
    )
    return endless("tail follows the file and never ends", "tail", "-n", str(ROWS), *files)


def _less(arguments: Sequence[str], _: Inner) -> Judged:
    """A pager waits for a person; what it would show first can be read."""
    files = [word for word in arguments if not word.startswith(("-", "+"))]
    if not files:
        return interactive("a pager waits for a person")
    rewrite = (
        ("tail", "-n", str(ROWS), *files)
        if any(w.startswith("+") for w in arguments)
        else ("head", "-n", str(ROWS), *files)
    )
    return Judged(
        effect=Effect.READ,
        bounded=False,
        reason="a pager waits for a person",
        rewrite=rewrite,
        trait=interactive("").trait,
    )


def _unless(*flags: str, positional: int = 99) -> Rule:
    """A reader that writes with one of these flags, or with more than `positional` words."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        found = next((word for word in arguments if word.startswith(flags)), None)
        if found:
            return changes(f"{found} makes it write")
        words = [word for word in arguments if not word.startswith("-")]
        if len(words) > positional:
            return changes(f"with '{words[positional][:40]}' it writes")
        return READS

    return judge


def _only(*flags: str, why: str) -> Rule:
    """A command that changes things, unless one of these flags makes it list."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        return READS if any(word.startswith(flags) for word in arguments) else changes(why)

    return judge


def _repeating(name: str, *flags: str, words: bool) -> Rule:
    """A reader that goes on for ever with one of these flags, or when given an interval without a count."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        numbers = [word for word in arguments if word.isdigit()]
        if flags and any(word.startswith(flags) for word in arguments):
            return endless("it repeats and never ends", name)
        if words and len(numbers) == 1:
            return endless("an interval without a count never ends", name, *arguments, "3")
        return READS

    return judge


_FIND_WRITES = frozenset({"-delete", "-fprint", "-fls", "-fprintf", "-fprint0"})
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def _find(arguments: Sequence[str], inner: Inner) -> Judged:
    """`-exec` is as good as the command that it runs."""
    writing = next((word for word in arguments if word in _FIND_WRITES), None)
    if writing:
        return changes(f"find {writing} acts on files")
    for position, word in enumerate(arguments):
        if word in _FIND_RUNS:
            run = list(arguments[position + 1 :])
            end = next((n for n, w in enumerate(run) if w in {";", "+", "\\;"}), len(run))
            judged = inner(run[:end])
            if judged.effect is not Effect.READ or not judged.bounded:
                return changes(f"find {word} runs {' '.join(run[:1])} on files")
    return READS


_SED_PRINTS = re.compile(r"^(?:\d+|\$|/[^/]*/)?(?:,(?:\d+|\$|/[^/]*/))?[pdq=]$|^s(.)[^we]*?\1[^we]*?\1g?p?$")


def _sed(arguments: Sequence[str], _: Inner) -> Judged:
    if any(w.startswith(("-i", "--in-place")) for w in arguments):
        return changes("sed -i writes the file")
    words = [w for w in arguments if not w.startswith("-")]
    plain = all(w in {"-n", "-E", "-r", "-nE", "-nr", "-e"} for w in arguments if w.startswith("-"))
    scripts = [arguments[n + 1] for n, w in enumerate(arguments[:-1]) if w == "-e"] or words[:1]
    if scripts and plain and all(_SED_PRINTS.match(script) for script in scripts):
        return READS
    return unknown("a sed script can write files: judged by a person")


_AWK_ACTS = re.compile(r"[>|@]|\b(?:system|getline|close|fflush)\b")
_COMPARES = re.compile(r"(?<=[\w)\]\s])>=?\s*(?=[\d$.])|\|\||\$\w+\s*>=?\s*\w+(?=\s*(?:\{|&&|$))")


def _awk(arguments: Sequence[str], _: Inner) -> Judged:
    """A program that only picks and prints fields cannot write: it has no redirection, pipe, system or extension.

    `>` before a number compares, unless the statement prints: `print > 5` writes a file named 5.
    """
    programs = positionals(arguments, frozenset({"-F", "-v"}))
    plain = all(w.startswith(("-F", "-v")) for w in arguments if w.startswith("-"))
    if not (programs and plain):
        return unknown("an awk program can write files and run commands")
    pattern, brace, body = programs[0].partition("{")
    acts = _AWK_ACTS.search(body) if brace else None
    if acts or _AWK_ACTS.search(_COMPARES.sub(" ", pattern)):
        return unknown("an awk program can write files and run commands")
    return READS


def _dmesg(arguments: Sequence[str], _: Inner) -> Judged:
    if follows(arguments, flags="wW", valued="lfn"):
        kept = [
            word
            for word in without(arguments, "-w", "-W", "--follow", "--follow-new")
            if "w" not in letters(word)
        ]
        return endless("dmesg follows and never ends", "dmesg", *kept)
    clearing = any(
        set(letters(w, valued="lfn")) & set("cCDEn") or w in {"--clear", "--read-clear"} for w in arguments
    )
    return changes("dmesg with this flag changes the kernel's log") if clearing else READS


def _journalctl(arguments: Sequence[str], _: Inner) -> Judged:
    writing = next(
        (
            w
            for w in arguments
            if w.startswith(
                (
                    "--vacuum",
                    "--rotate",
                    "--flush",
                    "--sync",
                    "--relinquish",
                    "--setup-keys",
                    "--update-catalog",
                )
            )
        ),
        None,
    )
    if writing:
        return changes(f"journalctl {writing} changes the journal")
    if follows(arguments, valued="unpSUtog"):
        kept = [re.sub(r"^-(\w*)f(\w*)$", r"-\1\2", word) for word in without(arguments, "-f", "--follow")]
        kept = [word for word in kept if word != "-"]
        return endless(
            "journalctl follows and never ends", "journalctl", "-n", str(ROWS), "--no-pager", *kept
        )
    return READS


def watch(arguments: Sequence[str], inner: Inner) -> Judged:
    """What is watched, run once."""
    words = _watched(arguments)
    if len(words) == 1 and " " in words[0]:
        words = words[0].split() if not _IS_A_LINE.search(words[0]) else ["sh", "-c", words[0]]
    judged = inner(words) if words else unknown("watch without a command")
    if judged.effect is Effect.READ:
        return endless(WATCHES, *(judged.rewrite or words))
    return judged if judged.effect is Effect.MUTATE else unknown("watch repeats a command and never ends")


WATCHES = "watch repeats and never ends"
# Signs by which one argument of watch is a whole line for a shell.
_IS_A_LINE = re.compile(r"[|;&<>()`'\"\\]")


def _watched(arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in {"-n", "--interval"} else words[1:]
    return words


def watched_line(words: Sequence[str]) -> str | None:
    """The line that `watch 'df -h | grep data'` has a shell run; None where it watches one command."""
    watched = _watched(words[1:]) if words[:1] in (["watch"], ("watch",)) else []
    return watched[0] if len(watched) == 1 and _IS_A_LINE.search(watched[0]) else None


def timeout(arguments: Sequence[str], inner: Inner) -> Judged:
    """`timeout 30 COMMAND` ends by itself, whatever the command."""
    words = list(arguments)
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in {"-s", "-k", "--signal", "--kill-after"} else words[1:]
    judged = inner(words[1:])
    if judged.effect is not Effect.READ:
        return judged
    return Judged(effect=Effect.READ, bounded=True, reason="a read that is cut off after its time")


def command(arguments: Sequence[str], inner: Inner) -> Judged:
    """`command -v NAME` looks a program up; without a flag it runs it."""
    return READS if arguments[:1] in (["-v"], ["-V"]) else inner(arguments)


def _top(arguments: Sequence[str], _: Inner) -> Judged:
    bundled = "".join(letters(word, valued="npduUEw") for word in arguments)
    if "b" in bundled and ("n" in bundled or any(w.startswith("--iterations") for w in arguments)):
        return READS
    return endless("top is interactive and never ends", "top", "-b", "-n", "1")


def _date(arguments: Sequence[str], _: Inner) -> Judged:
    words = positionals(arguments, frozenset({"-d", "--date", "-r", "--reference", "-f", "--file"}))
    setting = any(w.startswith(("-s", "--set")) for w in arguments) or any(
        not w.startswith("+") for w in words
    )
    return changes("date with a value sets the clock") if setting else READS


def _mount(arguments: Sequence[str], _: Inner) -> Judged:
    return (
        READS
        if not arguments or (arguments[0] in {"-l", "-t"} and len(arguments) < 3)
        else changes("mount changes the file tree")
    )


def _sysctl(arguments: Sequence[str], _: Inner) -> Judged:
    writing = any(
        "=" in word or word.startswith(("-w", "-p", "--write", "--load", "--system")) for word in arguments
    )
    return changes("sysctl with a value changes the kernel") if writing else READS


def _service(arguments: Sequence[str], _: Inner) -> Judged:
    if arguments[1:2] == ["status"] or "--status-all" in arguments:
        return READS
    return changes("service changes things")


def _smartctl(arguments: Sequence[str], _: Inner) -> Judged:
    changing = any(
        word.startswith(("-t", "--test", "-s", "--smart", "-o", "-S", "-X", "--abort", "--set"))
        for word in arguments
    )
    return changes("smartctl with this flag acts on the disk") if changing else READS


def _strace(arguments: Sequence[str], _: Inner) -> Judged:
    return unknown("tracing slows or stops a process: judged by a person")


_GIT_LISTS = {
    "branch": frozenset({"-a", "-r", "-v", "-vv", "--list", "--all", "--remotes", "--show-current", "--contains", "--merged"}),
    "tag": frozenset({"-l", "--list", "-n", "--contains", "--points-at", "--sort"}),
    "remote": frozenset({"-v", "--verbose", "get-url"}),
    "config": frozenset({"--get", "--list", "-l", "--get-all", "--get-regexp"}),
}  # fmt: skip
_GIT_CHANGES = frozenset(
    {
        "-d",
        "-D",
        "-m",
        "-M",
        "-c",
        "-C",
        "-f",
        "--delete",
        "--move",
        "--force",
        "--set-upstream-to",
        "-u",
        "-s",
        "-a",
    }
)


def git_listing(words: Sequence[str], arguments: Sequence[str]) -> Judged | None:
    """`git branch`, `tag`, `remote` and `config` list, alone or with a flag that says so."""
    verb = words[0] if words else ""
    if verb not in _GIT_LISTS:
        return None
    flags = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    known = _GIT_LISTS[verb] | {"get-url"}
    lists = any(flag in known for flag in flags) or (verb == "remote" and words[1:2] == ["get-url"])
    if lists and not (set(flags) - known) & _GIT_CHANGES:
        return READS
    if len(words) == 1 and not flags and verb != "config":
        return READS
    return None if verb == "remote" else changes(f"git {verb} changes the repository")


def _printed(name: str, *flags: str) -> Rule:
    """An archive or a package manager's query: reads with one of these flags first."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        first = arguments[0] if arguments else ""
        return READS if first.startswith(flags) else changes(f"{name} changes what is installed")

    return judge


def _tar(arguments: Sequence[str], _: Inner) -> Judged:
    first = (arguments[0] if arguments else "").lstrip("-")
    lists = (
        "t" in first
        and not set(first) & set("xcruA")
        and not any(w.startswith(("--to-command", "--checkpoint", "--use-compress", "-I")) for w in arguments)
    )
    return READS if lists else scratch("tar writes files")


_GPU_SETTINGS = (
    "-pm", "-pl", "-r", "--gpu-reset", "-c", "-mig", "-e", "-lgc", "-rgc", "--persistence-mode", "--power-limit", "-f",
    "--filename",
)  # fmt: skip


def _nvidia_smi(arguments: Sequence[str], inner: Inner) -> Judged:
    """`dmon` and `pmon` print a row a second, `-c` of them; elsewhere `-c` sets the mode of the card."""
    if arguments[:1] in (["dmon"], ["pmon"], ("dmon",), ("pmon",)):
        if any(word.startswith(("-f", "--filename")) for word in arguments):
            return scratch("nvidia-smi writes a file")
        if any(word.startswith(("-c", "--count")) for word in arguments):
            return READS
        return endless(
            f"nvidia-smi {arguments[0]} repeats and never ends", "nvidia-smi", *arguments, "-c", "5"
        )
    if any(re.match(r"-l(?:ms)?(?:=|$)|--loop", word) for word in arguments):
        return endless("nvidia-smi -l repeats and never ends")
    return _unless(*_GPU_SETTINGS)(arguments, inner)


RULES: Mapping[str, Rule] = {
    "tail": _tail,
    "less": _less,
    "more": _less,
    "zless": _less,
    "find": _find,
    "sed": _sed,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "sort": _unless("-o", "--output", "-T", "--compress-program"),
    "uniq": _unless(positional=1),
    "date": _date,
    "hostname": _unless("-F", "--file", "-b", positional=0),
    "file": _unless("-C", "--compile"),
    "yq": _unless("-i", "--inplace", "-s", "--split"),
    "dmidecode": _unless("--dump-bin"),
    "sensors": _unless("-s", "--set"),
    "arp": _unless("-s", "-d", "-f", "--set", "--delete", "--file"),
    "xxd": _unless("-r", positional=1),
    "sleep": _unless(positional=1),
    "dmesg": _dmesg,
    "journalctl": _journalctl,
    "top": _top,
    "free": _repeating("free", "-s", "--seconds", words=False),
    "vmstat": _repeating("vmstat", words=True),
    "iostat": _repeating("iostat", words=True),
    "mpstat": _repeating("mpstat", words=True),
    "pidstat": _repeating("pidstat", words=True),
    "sar": _repeating("sar", words=True),
    "mount": _mount,
    "sysctl": _sysctl,
    "service": _service,
    "smartctl": _smartctl,
    "strace": _strace,
    "perf": _strace,
    "gcore": _strace,
    "lsof": _repeating("lsof", "-r", "+r", words=False),
    "fuser": _unless("-k", "--kill"),
    "crontab": _only("-l", why="crontab changes what runs when"),
    "fdisk": _only("-l", "--list", why="fdisk changes disks"),
    "parted": _only("-l", "--list", why="parted changes disks"),
    "mdadm": _only("--detail", "-D", "--examine", "-E", "--query", why="mdadm changes disks"),
    "ulimit": _unless(positional=0),
    "dpkg": _printed("dpkg", "-l", "-L", "-s", "-S", "--list", "--status", "--search", "--get-selections"),
    "rpm": _printed("rpm", "-q", "-V", "--query", "--verify"),
    "tar": _tar,
    "nvidia-smi": _nvidia_smi,
    "swapon": _only("-s", "--show", "--summary", why="swapon changes the memory"),
    "yes": lambda _a, _i: endless("yes never ends"),
    "jmap": _only("-histo", "-heap", why="jmap writes a dump, or stops the process"),
    "ethtool": _unless("-s", "-K", "-G", "-C", "-A", "-L", "-r", "-p", "-E", "-W", "-X", "-N", "-f", "-U"),
}  # fmt: skip
