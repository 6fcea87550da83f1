"""Rules for the clients of databases and queues: what they ask is judged, not that they ask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from responder.core.effect import Effect
from responder.runbooks.effects.sql import sql
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
    unknown,
)

_PSQL_VALUED = "cdfhopqUvFPRTLd"


def _psql(arguments: Sequence[str], _: Inner) -> Judged:
    """`psql -c STATEMENT`, by the statement. A file or what is typed is not known, and meta-commands can do anything."""
    if "--list" in arguments or "-l" in arguments:
        return READS
    if any(w.startswith(("--file", "--output", "--log-file", "--variable", "--set")) for w in arguments):
        return unknown("psql with a file or a variable: judged by a person")
    for word in arguments:
        if set(letters(word, valued="cdfhopUvFPRTL")) & set("foLv"):
            return unknown("psql with a file or a variable: judged by a person")
    commands = _values(arguments, "c", "--command", valued="cdhpUFPRT")
    if not commands:
        return interactive("psql without -c is interactive: it waits for a person")
    return _asked(list(arguments), commands, "psql")


def _values(arguments: Sequence[str], letter: str, long: str, *, valued: str) -> list[int]:
    """The positions of the words that are the value of a flag; a value in the same word is not taken apart."""
    places: list[int] = []
    for position, word in enumerate(arguments[:-1]):
        if word == long or (letters(word, valued=valued).endswith(letter) and word.endswith(letter)):
            places.append(position + 1)
    return places


def _asked(arguments: list[str], places: Sequence[int], name: str) -> Judged:
    capped = list(arguments)
    bounded = True
    for at in places:
        judged = _statements(arguments[at])
        if judged.effect is not Effect.READ:
            return judged
        if not judged.bounded:
            bounded = False
            if judged.rewrite is None:
                return Judged(effect=Effect.READ, bounded=False, reason=judged.reason)
            capped[at] = judged.rewrite[0]
    if bounded:
        return Judged(effect=Effect.READ, bounded=True, reason=f"{name} is given a statement that reads only")
    return Judged(
        effect=Effect.READ,
        bounded=False,
        reason="a SELECT without LIMIT: its rows are capped",
        rewrite=(name, *capped),
    )


_META_READS = re.compile(r"^\\(?:d[\w+]*|l\+?|conninfo|timing|x)(?:\s+[\w.*+]+)?\s*$")


def _statements(text: str) -> Judged:
    """One statement of a `-c`; several are judged apart by whoever gives them apart."""
    if text.lstrip().startswith("\\"):
        if _META_READS.match(text.strip()):
            return READS
        return unknown("a meta-command of psql can run programs and write files")
    found = sql(text, 1)
    rewrite = (found.rewrite,) if found.rewrite else None
    return Judged(effect=found.effect, bounded=found.bounded, reason=found.reason, rewrite=rewrite)


def _mysql(arguments: Sequence[str], _: Inner) -> Judged:
    commands = _values(arguments, "e", "--execute", valued="ehuPDS")
    attached = [w.partition("=")[2] for w in arguments if w.startswith("--execute=")]
    if attached:
        return _statements(attached[0])
    if not commands:
        return interactive("mysql without -e is interactive: it waits for a person")
    return _asked(list(arguments), commands, "mysql")


_REDIS_VALUED = frozenset(
    {
        "-u",
        "-h",
        "-p",
        "-a",
        "-n",
        "--user",
        "--pass",
        "-s",
        "--cacert",
        "--cert",
        "--key",
        "-i",
        "-t",
        "--pattern",
        "--count",
    }
)
_REDIS_READS = frozenset({
    "ping", "info", "dbsize", "llen", "get", "ttl", "type", "exists", "zcard", "scard", "hlen", "strlen", "pttl", "mget",
    "lrange", "time", "hget", "hgetall", "hmget", "hkeys", "zrange", "zscore", "zcount", "zrevrange", "smembers",
    "sismember", "scan",
    "sscan", "hscan", "zscan", "xlen", "xrange", "lastsave", "role", "randomkey", "getrange", "lindex", "bitcount", "dump",
    "xpending",
    "echo", "command", "pfcount",
})  # fmt: skip
_REDIS_CHANGES = frozenset({
    "flushall", "flushdb", "del", "unlink", "set", "setex", "setnx", "mset", "expire", "rename", "shutdown", "debug",
    "migrate", "failover",
    "replicaof", "slaveof", "lpush", "rpush", "lpop", "rpop", "hset", "hdel", "ltrim", "lrem", "save", "bgsave",
    "bgrewriteaof", "incr", "decr",
    "incrby", "persist", "restore", "sadd", "srem", "spop", "zadd", "zrem", "xadd", "xdel", "xtrim", "xack", "xclaim",
    "publish", "move", "append",
    "getset", "getdel", "expireat", "swapdb", "reset", "psync", "sync", "copy", "renamenx", "psetex", "pexpire",
    "zremrangebyscore",
    "zremrangebyrank", "xautoclaim", "module",
})  # fmt: skip
_REDIS_SECOND = {
    "config": frozenset({"get"}),
    "client": frozenset({"list", "info", "getname", "id"}),
    "slowlog": frozenset({"get", "len"}),
    "latency": frozenset({"doctor", "latest", "history", "graph"}),
    "memory": frozenset({"doctor", "usage", "stats", "malloc-stats"}),
    "cluster": frozenset({"info", "nodes", "slots", "shards", "keyslot", "countkeysinslot", "myid", "links"}),
    "acl": frozenset({"list", "whoami", "users", "cat", "log"}),
    "sentinel": frozenset(
        {"masters", "master", "slaves", "replicas", "sentinels", "get-master-addr-by-name", "ckquorum"}
    ),
    "xinfo": frozenset({"stream", "groups", "consumers"}),
    "pubsub": frozenset({"channels", "numsub", "numpat"}),
    "object": frozenset({"encoding", "freq", "idletime", "refcount"}),
    "script": frozenset({"exists"}),
}
_REDIS_CHANGES_SECOND = frozenset({
    ("config", "set"), ("config", "resetstat"), ("config", "rewrite"), ("client", "kill"), ("client", "pause"),
    ("slowlog", "reset"),
    ("latency", "reset"), ("memory", "purge"), ("cluster", "failover"), ("cluster", "reset"), ("cluster", "forget"),
    ("cluster", "meet"),
    ("acl", "setuser"), ("acl", "deluser"), ("sentinel", "failover"), ("sentinel", "reset"), ("sentinel", "remove"),
    ("script", "flush"),
    ("script", "kill"), ("cluster", "setslot"), ("cluster", "addslots"), ("cluster", "delslots"), ("sentinel", "set"),
    ("acl", "load"),
})  # fmt: skip


def _redis(arguments: Sequence[str], _: Inner) -> Judged:
    words = positionals(arguments, _REDIS_VALUED | {"-r"})
    if any(
        word in {"--stat", "--latency", "--latency-history", "--latency-dist", "--replica", "--slave"}
        for word in arguments
    ):
        return endless("redis-cli repeats and never ends")
    if any(word in {"--pipe", "--rdb", "--eval", "--functions-rdb", "-x", "-X"} for word in arguments):
        return unknown("redis-cli runs or writes what it is given")
    if "--cluster" in arguments:
        return (
            READS
            if words[:1] in (["check"], ["info"])
            else changes("redis-cli --cluster changes the cluster")
        )
    if any(word in {"--bigkeys", "--memkeys", "--hotkeys", "--scan"} for word in arguments):
        return READS
    if not words:
        return interactive("redis-cli without a command is interactive: it waits for a person")
    if "-r" in arguments and "-1" in arguments:
        return endless("redis-cli -r -1 never ends")
    return _redis_verb(words, arguments)


def _redis_verb(words: Sequence[str], arguments: Sequence[str]) -> Judged:
    verb, second = words[0].lower(), words[1].lower() if len(words) > 1 else ""
    if verb in {"monitor", "subscribe", "psubscribe", "blpop", "brpop", "xread", "wait"}:
        return endless(f"redis-cli {verb} never ends")
    if verb == "keys":
        before = list(arguments[: list(arguments).index(words[0])])
        return endless(
            "redis-cli keys stops the server while it looks at every key",
            "redis-cli",
            *before,
            "--scan",
            "--pattern",
            second or "*",
        )
    if verb in _REDIS_SECOND:
        if (verb, second) in _REDIS_CHANGES_SECOND:
            return changes(f"redis-cli {verb} {second} changes the server")
        return (
            READS
            if second in _REDIS_SECOND[verb]
            else unknown(f"redis-cli {verb} {second} is not known to read only")
        )
    if verb in _REDIS_CHANGES:
        return changes(f"redis-cli {verb} changes data")
    return READS if verb in _REDIS_READS else unknown(f"redis-cli {verb} is not known to read only")


def _kafka(*, reads: tuple[str, ...]) -> Rule:
    """The tools of Kafka: with one of these flags they list or describe."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        flags = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        if flags & {
            "--create",
            "--delete",
            "--alter",
            "--execute",
            "--add",
            "--remove",
            "--delete-offsets",
            "--add-config",
            "--delete-config",
            "--cancel",
        }:
            return changes("a tool of Kafka that changes the cluster")
        if flags & set(reads):
            return READS
        return unknown("a tool of Kafka that is not known to read only")

    return judge


def _kafka_consumer(arguments: Sequence[str], _: Inner) -> Judged:
    if "--group" in arguments:
        return changes("a consumer of a group moves its offsets")
    if "--max-messages" in arguments or "--timeout-ms" in arguments:
        return READS
    return endless("a consumer never ends", "kafka-console-consumer", *arguments, "--max-messages", "20")


def _kcat(arguments: Sequence[str], _: Inner) -> Judged:
    found = set("".join(letters(word, valued="bXtpocGKDf") for word in arguments))
    if found & set("PG"):
        return changes("kcat produces messages, or moves a group's offsets")
    return READS if "L" in found or found >= set("Ce") or found >= set("Cc") else endless("kcat never ends")


_KAFKA: Mapping[str, Rule] = {
    "kafka-topics": _kafka(reads=("--list", "--describe")),
    "kafka-consumer-groups": _kafka(reads=("--list", "--describe")),
    "kafka-configs": _kafka(reads=("--describe",)),
    "kafka-acls": _kafka(reads=("--list",)),
    "kafka-reassign-partitions": _kafka(reads=("--list", "--verify")),
    "kafka-log-dirs": _kafka(reads=("--describe",)),
    "kafka-broker-api-versions": _kafka(reads=("--bootstrap-server",)),
    "kafka-get-offsets": _kafka(reads=("--bootstrap-server",)),
    "kafka-console-consumer": _kafka_consumer,
    "kafka-console-producer": lambda _a, _i: changes("a producer writes messages"),
    "kafka-leader-election": lambda _a, _i: changes("an election changes the cluster"),
    "kafka-delete-records": lambda _a, _i: changes("deletes records"),
}


RULES: Mapping[str, Rule] = {
    "psql": _psql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "redis-cli": _redis,
    "valkey-cli": _redis,
    "kcat": _kcat,
    "kafkacat": _kcat,
    **_KAFKA,
    **{f"{name}.sh": rule for name, rule in _KAFKA.items()},
}
