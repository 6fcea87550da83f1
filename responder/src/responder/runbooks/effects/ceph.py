"""The rule for Ceph's client: what `daemon` and `tell` ask one daemon is judged by what it is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from responder.runbooks.effects.verdict import (
    READS,
    Inner,
    Judged,
    Rule,
    changes,
    endless,
    positionals,
)

_VALUED = frozenset(
    {"-c", "--conf", "-n", "--name", "--cluster", "-f", "--format", "-k", "--keyring", "--id"}
)
_READS = re.compile(
    r"(?:dump_\w+|perf (?:dump|schema|histogram dump)|config (?:show|get|diff|help)|status|version|help|ops|mon_status"
    r"|quorum_status|sessions? ls|client ls|git_version|get_command_descriptions|df|ops_in_flight|damage ls|scrub status"
    r"|objecter_requests|bluefs stats|cache status|counter dump)(?: .*)?"
)


def ceph(verbs: Rule) -> Rule:
    """By its verbs, but for `-s`, `-w`, and what is asked of one daemon."""

    def judge(arguments: Sequence[str], inner: Inner) -> Judged:
        words = positionals(arguments, _VALUED)
        if not words and {"-s", "--status"} & set(arguments):
            return READS
        if not words and {"-w", "--watch"} & set(arguments):
            return endless("ceph -w follows the log and never ends")
        if words[:1] in (["daemon"], ["tell"]) and len(words) > 2:
            asked = " ".join(words[2:])
            return (
                READS
                if _READS.fullmatch(asked)
                else changes(f"ceph {words[0]} {asked[:40]} may change a daemon")
            )
        return verbs(arguments, inner)

    return judge
