"""Rules for the clients of MongoDB: a script given by `--eval` is a read when it is nothing but one known question."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from responder.runbooks.effects.verdict import (
    READS,
    Inner,
    Judged,
    Rule,
    changes,
    interactive,
    scratch,
    unknown,
)

# What is asked, with arguments that call nothing, and fields of the answer.
_READS = re.compile(
    r"(?:print(?:json)?\()?\s*"
    r"(?:db\.(?:serverStatus|currentOp|stats|hostInfo|version|hello|isMaster|getProfilingStatus|getReplicationInfo"
    r"|printReplicationInfo|printSecondaryReplicationInfo|getCollectionNames|getName|serverBuildInfo|getMongo)"
    r"|db\.(?:getCollection\([\"'][\w.-]+[\"']\)|(?!admin)\w+)\.(?:stats|countDocuments|estimatedDocumentCount|getIndexes|dataSize"
    r"|totalSize|totalIndexSize|storageSize)"
    r"|rs\.(?:status|conf|config|hello|isMaster|printReplicationInfo|printSecondaryReplicationInfo)|sh\.(?:status|getBalancerState)"
    r"|(?:db\.(?:adminCommand|runCommand))(?=\(\s*(?:[\"'](?:ping|serverStatus|replSetGetStatus|dbStats|hello|isMaster|buildInfo"
    r"|listDatabases|connPoolStats|top|hostInfo)[\"']|\{\s*[\"']?(?:ping|serverStatus|replSetGetStatus|dbStats|hello|isMaster|buildInfo"
    r"|listDatabases|connPoolStats|top|hostInfo)[\"']?\s*:)))"
    r"\([^()]*\)(?:\.\w+)*\s*\)?\s*;?\s*"
)
_CHANGES = re.compile(
    r"\.\s*(?:drop\w*|insert\w*|update\w*|delete\w*|remove\w*|replaceOne|bulkWrite|findAndModify|findOneAnd\w+|create\w*|killOp"
    r"|shutdownServer|stepDown|freeze|initiate|reconfig|add|addArb|compact|fsyncLock|fsyncUnlock|setProfilingLevel|renameCollection"
    r"|grant\w+|revoke\w+|changeUserPassword|moveChunk|moveRange|startBalancer|stopBalancer|enableSharding|shardCollection|save)\s*\("
    r"|(?:adminCommand|runCommand)\s*\(\s*\{?\s*[\"']?(?:set\w+|repl\w*(?:StepDown|Reconfig|Initiate|Freeze)|shutdown|fsync|compact|drop\w*"
    r"|kill\w+|create\w*|flush\w+)"
)


def _mongosh(arguments: Sequence[str], _: Inner) -> Judged:
    scripts = [
        following if word == "--eval" else word.partition("=")[2]
        for word, following in itertools.pairwise([*arguments, ""])
        if word == "--eval" or word.startswith("--eval=")
    ]
    if not scripts:
        return interactive("mongosh without --eval is interactive: it waits for a person")
    if any(_CHANGES.search(script) for script in scripts):
        return changes("the script that mongosh is given changes things")
    if "--shell" in arguments or any(word.endswith((".js", ".mongodb")) for word in arguments):
        return unknown("mongosh with a file or a shell: judged by a person")
    if all(_READS.fullmatch(script) for script in scripts):
        return READS
    return unknown("the script that mongosh is given is not known to read only")


def _copies(_arguments: Sequence[str], _: Inner) -> Judged:
    return scratch("writes a copy of the data")


RULES: Mapping[str, Rule] = {
    "mongosh": _mongosh,
    "mongo": _mongosh,
    "mongodump": _copies,
    "mongoexport": _copies,
}
