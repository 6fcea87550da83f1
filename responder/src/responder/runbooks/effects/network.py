"""Rules for commands that speak to the network: what they send, what they write, when they end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from responder.core.effect import Effect
from responder.runbooks.effects.verdict import (
    READS,
    Inner,
    Judged,
    Rule,
    changes,
    endless,
    interactive,
    letters,
    positionals,
    scratch,
    unknown,
    unless_it_changes,
)

_CURL_DATA = ("--data", "--url-query")
_CURL_SENDS = (
    "--form",
    "--json",
    "--upload-file",
    "--request-target",
    "--quote",
    "--mail-from",
    "--postquote",
    "--prequote",
)
_CURL_WRITES = (
    "--output", "--remote-name", "--config", "--cookie-jar", "--dump-header", "--trace", "--etag-save", "--libcurl", "--hsts",
    "--alt-svc", "--stderr",
)  # fmt: skip
_CURL_VALUED = "HAubemwxyYzCEPtrR"


def _curl(arguments: Sequence[str], _: Inner) -> Judged:
    gets = any("G" in letters(w, valued=_CURL_VALUED + "XdFToKcDQ") or w == "--get" for w in arguments)
    for position, word in enumerate(arguments):
        found = letters(word, valued=_CURL_VALUED + "XdFToKcDQ")
        following = next(iter(arguments[position + 1 :]), "")
        data = word.startswith(_CURL_DATA) or "d" in found
        if data and not (gets and _is_plain_query(word, following)):
            return changes(f"curl {word} sends data")
        if word.startswith(_CURL_SENDS) or set(found) & set("FTQ"):
            return changes(f"curl {word} sends data")
        writes = word.startswith(_CURL_WRITES) or set(found) & set("oOKcDJ")
        if writes and not (_names_output(word, found) and following in {"/dev/null", "-"}):
            return scratch(f"curl {word} writes a file")
        if "X" in found or word.startswith("--request"):
            attached = word.partition("=")[2] if word.startswith("--") else word.partition("X")[2]
            method = attached or following
            if method.upper() not in {"GET", "HEAD", "OPTIONS"}:
                return changes(f"curl sends {method.upper()}")
        if re.match(r"(?!https?:)[a-z][a-z0-9+.-]*://", word, re.IGNORECASE):
            return unknown("an address that is not of HTTP")
    reason = "curl without data is a GET; it is run with a time limit"
    return Judged(effect=Effect.READ, bounded=True, reason=reason)


def _is_plain_query(word: str, following: str) -> bool:
    """With -G the data is the query of a GET; but never a file's content, which stands behind an @."""
    value = word.partition("=")[2] or following
    return "@" not in value.partition("=")[0] and not value.partition("=")[2].startswith("@")


def _names_output(word: str, found: str) -> bool:
    """Whether the word is `-o` or `--output`, perhaps in a bundle: into /dev/null it writes nothing that stays."""
    return word == "--output" or (found.endswith("o") and not set(found) & set("OKcDJ"))


def _wget(arguments: Sequence[str], _: Inner) -> Judged:
    if any(word.startswith(("--post", "--method", "--body")) for word in arguments):
        return changes("wget sends data")
    bundles = [letters(word, valued="oaiBtTwQPUe") for word in arguments]
    outputs = [
        word.partition("O")[2] or next(iter(arguments[n + 1 :]), "")
        for n, word in enumerate(arguments)
        if "O" in bundles[n]
    ] + [word.partition("=")[2] for word in arguments if word.startswith("--output-document")]
    prints = bool(outputs) and all(output in {"-", "/dev/null"} for output in outputs)
    if (prints or "--spider" in arguments) and not any(set(found) & set("oamrN") for found in bundles):
        return READS
    return scratch("wget writes files")


def _ping(arguments: Sequence[str], _: Inner) -> Judged:
    if any("c" in letters(word, valued="csiWwItTMQlmpS") for word in arguments):
        return READS
    return endless("ping without -c never ends", "ping", "-c", "5", *arguments)


def _tcpdump(arguments: Sequence[str], _: Inner) -> Judged:
    bundles = [letters(word, valued="ciwrsBCGWFTyzZEmM") for word in arguments]
    if any(set(found) & set("wzC") for found in bundles):
        return scratch("tcpdump -w writes a file")
    if any(set(found) & set("crD") for found in bundles):
        return READS
    return endless("tcpdump without -c never ends", "tcpdump", "-c", "100", *arguments)


def _mtr(arguments: Sequence[str], _: Inner) -> Judged:
    if any(
        set(letters(word, valued="ci")) & set("rwc") or word in {"--report", "--report-wide"}
        for word in arguments
    ):
        return READS
    return endless("mtr goes on for ever", "mtr", "-r", "-c", "10", *arguments)


_OPENSSL_READS = frozenset({"version", "ciphers", "list", "errstr"})


def _openssl(arguments: Sequence[str], _: Inner) -> Judged:
    verb = arguments[0] if arguments else ""
    if verb == "s_client":
        return interactive(
            "openssl s_client waits for what a person types; give it an empty input: </dev/null"
        )
    if verb in {"x509", "crl", "req", "verify", "asn1parse", "pkcs7", "ocsp", "dgst"}:
        writes = any(
            word in {"-out", "-new", "-x509", "-CA", "-signkey", "-sign", "-keyout"} for word in arguments
        )
        return unknown(f"openssl {verb} may write or sign") if writes else READS
    return READS if verb in _OPENSSL_READS else unknown(f"openssl {verb} is not known to read only")


def s_client(arguments: Sequence[str]) -> Judged | None:
    """`openssl s_client` with its input closed ends by itself."""
    if arguments[:2] != ["openssl", "s_client"]:
        return None
    return Judged(effect=Effect.READ, bounded=True, reason="a TLS handshake, with its input closed")


def _nc(arguments: Sequence[str], _: Inner) -> Judged:
    scans = any("z" in letters(word, valued="wpsXxIiqO") for word in arguments)
    acts = any(set(letters(word, valued="wpsXxIiqO")) & set("elkc") for word in arguments)
    return (
        READS if scans and not acts else unknown("nc sends what it is given, or listens: judged by a person")
    )


def _nslookup(arguments: Sequence[str], _: Inner) -> Judged:
    return (
        READS
        if any(not w.startswith("-") for w in arguments)
        else interactive("nslookup without a name is interactive")
    )


def _ss(arguments: Sequence[str], _: Inner) -> Judged:
    if any("K" in letters(word) or word == "--kill" for word in arguments):
        return changes("ss -K closes connections")
    if any("E" in letters(word) or word == "--events" for word in arguments):
        return endless("ss --events never ends", "ss", *[w for w in arguments if w not in {"-E", "--events"}])
    return READS


def _netstat(arguments: Sequence[str], _: Inner) -> Judged:
    if any("c" in letters(word) or word == "--continuous" for word in arguments):
        kept = [
            re.sub(r"^(-\w*)c(\w*)$", r"\1\2", word)
            for word in arguments
            if word not in {"-c", "--continuous"}
        ]
        return endless("netstat -c never ends", "netstat", *kept)
    return READS


def _iptables(arguments: Sequence[str], _: Inner) -> Judged:
    found = set("".join(letters(word, valued="tjpsdAICDRNXPFZE") for word in arguments))
    listing = found & set("LS") or any(word.startswith("--list") for word in arguments)
    changing = found & set("ADIRFZNXPE") or any(
        w.startswith(
            ("--append", "--delete", "--insert", "--flush", "--zero", "--policy", "--new", "--replace")
        )
        for w in arguments
    )
    return READS if listing and not changing else changes("iptables changes the network's rules")


_IP_READS = frozenset({"show", "list", "ls", "get", "lst"})


def _ip(arguments: Sequence[str], _: Inner) -> Judged:
    words = positionals(arguments, frozenset({"-family", "-n", "-netns", "-f"}))
    if words[:1] == ["monitor"] or words[1:2] == ["monitor"]:
        return endless("ip monitor never ends")
    if any(word in {"-b", "-batch", "-force"} for word in arguments):
        return unknown("ip runs commands from a file")
    reads = len(words) < 2 or words[1] in _IP_READS
    return READS if reads else changes(f"ip {' '.join(words[:2])} changes the network")


def _route(arguments: Sequence[str], _: Inner) -> Judged:
    words = [word for word in arguments if not word.startswith("-")]
    return READS if not words else changes("this changes the network")


def _ifconfig(arguments: Sequence[str], _: Inner) -> Judged:
    words = [word for word in arguments if not word.startswith("-")]
    return READS if len(words) <= 1 else changes("ifconfig with a setting changes the network")


def ssh(arguments: Sequence[str], inner: Inner) -> Judged:
    """A session waits for a person; a command on another machine is only judged for what it would change."""
    words = positionals(
        arguments,
        frozenset({"-p", "-i", "-l", "-o", "-F", "-J", "-L", "-R", "-D", "-b", "-c", "-e", "-m", "-w"}),
    )
    if len(words) < 2:
        return interactive("ssh is interactive: it waits for a person")
    run = words[1].split() if len(words) == 2 else words[1:]
    return unless_it_changes(inner(run), "runs a command on another machine: judged by a person")


RULES: Mapping[str, Rule] = {
    "curl": _curl,
    "wget": _wget,
    "ping": _ping,
    "ping6": _ping,
    "tcpdump": _tcpdump,
    "mtr": _mtr,
    "openssl": _openssl,
    "nc": _nc,
    "ncat": _nc,
    "netcat": _nc,
    "nslookup": _nslookup,
    "ss": _ss,
    "netstat": _netstat,
    "ip": _ip,
    "iptables": _iptables,
    "ip6tables": _iptables,
    "route": _route,
    "ifconfig": _ifconfig,
}
