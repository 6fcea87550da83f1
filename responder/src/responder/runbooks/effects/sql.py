"""SQL, judged by parsing. A SELECT is a read only when every function in it is on the list of those known to read."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from responder.core.effect import Effect, Statement

# What sqlglot does not know it keeps as an opaque command, and says so in the log; here that is an answer, not news.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

# Functions without a parse-tree class of their own that only read. A READ ONLY transaction does not stop
# pg_terminate_backend, so a list of what is allowed is the guard, not a list of what is not.
READING = re.compile(
    r"^(?:now|version|current_setting|pg_size_pretty|pg_size_bytes|pg_\w+_size|pg_stat_get_\w+|pg_get_\w+def|pg_get_(?:expr|userbyid|keywords"
    r"|function_\w+|serial_sequence)|pg_blocking_pids|pg_safe_snapshot_blocking_pids|pg_backend_pid|pg_postmaster_start_time"
    r"|pg_conf_load_time|pg_is_in_recovery|pg_is_wal_replay_paused|pg_last_\w+|pg_wal_lsn_diff|pg_current_wal_\w*lsn|pg_walfile_name"
    r"|pg_current_wal_lsn|pg_column_size|pg_encoding_to_char|pg_table_is_visible|pg_relation_filenode|pg_lock_status|pg_show_all_settings"
    r"|pg_typeof|pg_current_snapshot|pg_xact_\w+|age|mxid_age|txid_current_if_assigned|txid_current_snapshot|clock_timestamp"
    r"|statement_timestamp|transaction_timestamp|timeofday|width_bucket|percentile_cont|percentile_disc|quote_\w+|inet_\w+_(?:addr|port)"
    r"|row_number|rank|dense_rank|percent_rank|cume_dist|ntile|lag|lead|first_value|last_value|nth_value|mode|to_char|to_date"
    r"|to_timestamp|to_number|to_regclass|obj_description|col_description|shobj_description|has_\w+_privilege|timezone|cardinality"
    r"|array_\w+|unnest|jsonb?_(?!populate)\w+|row_to_json|format_type|format|justify_\w+|make_\w+|regexp_\w+|string_\w+|split_part|left"
    r"|right|lpad|rpad|btrim|ltrim|rtrim|initcap|reverse|repeat|replace|translate|strpos|starts_with|md5|sha\d+|encode|decode|host|family"
    r"|masklen|network|isfinite|date_\w+|extract|greatest|least|nullif|coalesce|bool_and|bool_or|every|generate_series|random|trunc|round"
    r"|ceil|ceiling|floor|abs|sign|sqrt|power|mod|div|exp|ln|log|bit_and|bit_or|corr|covar_\w+|regr_\w+|stddev\w*|var\w*|hashtext|pg_options_to_table"
    r"|similarity|ts_rank\w*|to_tsvector|to_tsquery|plainto_tsquery|vector_dims|cosine_distance|l2_distance|inner_product|current_schemas)$"
)

# Functions that change something although they stand in a SELECT. Of all others nothing is known: they are no reads either.
CHANGING = re.compile(
    r"^(?:pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_advisory_\w+|pg_try_advisory_\w+|pg_switch_wal|pg_switch_xlog"
    r"|pg_promote|pg_create_\w+|pg_drop_\w+|pg_stat_reset\w*|pg_stat_statements_reset|pg_notify|pg_logical_\w+|pg_replication_\w+"
    r"|pg_wal_replay_(?:pause|resume)|pg_import_system_collations|pg_file_\w+|pg_export_snapshot|pg_start_backup|pg_stop_backup"
    r"|pg_backup_(?:start|stop)|pg_prewarm|pg_truncate_\w+|pg_extension_config_dump|pg_log_backend_memory_contexts|pg_sync_replication_slots"
    r"|pg_copy_\w+|setval|nextval|set_config|lo_\w+|lowrite|dblink\w*|txid_current|pg_current_xact_id|setseed|query_to_xml\w*|cursor_to_xml"
    r"|table_to_xml|postgres_fdw_disconnect\w*|cron|schedule|unschedule)$"
)

_WRITING = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.TruncateTable,
    exp.Grant,
)
_READING_ROOTS = (exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Values, exp.Subquery)
# What is not parsed, or not into a tree that says what it does, but changes things by its first word.
_CHANGING_WORDS = re.compile(
    r"^\s*(?:vacuum|analyze|reindex|cluster|checkpoint|refresh|call|do|lock|notify|truncate|grant|revoke|reassign|comment|security|load|discard"
    r"|kill|optimize|flush|rename|insert|update|delete|merge|drop|create|alter|replace|import|prepare|execute|deallocate|listen|unlisten"
    r"|copy\b.*?\b(?:from\b|program\b|to\s+'[^']*')|reset\s+(?:master|slave|replica)|start\s+(?:slave|replica)|stop\s+(?:slave|replica)|change\s+master)(?!\w)",
    re.IGNORECASE | re.DOTALL,
)
_SHOW = re.compile(r"^\s*show\s+[\w.\s'%]+;?\s*$", re.IGNORECASE)
_EXPLAIN = re.compile(
    r"^\s*explain\s+(?:\((?P<options>[^()]*)\)|(?P<words>(?:(?:analyze|verbose)\b\s*)*))(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# A longer statement, or one nested deeper, is a program: it is for people to read, and not for a parser to fall over.
LONGEST = 20_000
DEEPEST = 60
# More rows than these are no evidence.
MOST_ROWS = 10_000
_DIGITS = 10
_MANY_ROWS = (exp.GenerateSeries, exp.Explode, exp.Unnest)


@dataclass(frozen=True, slots=True)
class _Verdict:
    effect: Effect
    reason: str
    bounded: bool = False
    rewrite: str | None = None


def sql(text: str, line: int) -> Statement:
    found = _judged(text)
    return Statement(
        text=text,
        line=line,
        effect=found.effect,
        bounded=found.bounded,
        reason=found.reason,
        rewrite=found.rewrite,
    )


@lru_cache(maxsize=1024)
def _judged(text: str) -> _Verdict:
    if len(text) > LONGEST or text.count("(") > LONGEST // 40 or _depth(text) > DEEPEST:
        return _Verdict(Effect.UNKNOWN, "too long or too deeply nested to be judged")
    bare = _COMMENTS.sub(" ", text)
    if _SHOW.match(bare):
        return _Verdict(Effect.READ, "SHOW reads a setting", bounded=True)
    if explained := _EXPLAIN.match(bare):
        return _explained(explained)
    try:
        trees = [
            tree
            for tree in sqlglot.parse(text, dialect="postgres")
            if tree is not None and not isinstance(tree, exp.Semicolon)
        ]
    except (SqlglotError, RecursionError) as error:
        return _unparsed(bare, f"does not parse as SQL: {str(error).splitlines()[0][:120]}")
    if len(trees) != 1:
        return _unparsed(bare, f"{len(trees)} statements where one is expected")
    return _of_tree(trees[0], text, bare)


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in re.findall(r"[()]", text):
        depth += 1 if sign == "(" else -1
        deepest = max(deepest, depth)
    return deepest


def _unparsed(bare: str, reason: str) -> _Verdict:
    if word := _CHANGING_WORDS.match(bare):
        return _Verdict(Effect.MUTATE, f"{word[0].split()[0].upper()} changes things", bounded=True)
    return _Verdict(Effect.UNKNOWN, reason)


def _explained(found: re.Match[str]) -> _Verdict:
    """A plan reads; with ANALYZE the statement is run, so it is as good as that."""
    runs = re.search(
        r"\banalyze\b(?!\s+(?:false|off|0))", found["options"] or found["words"] or "", re.IGNORECASE
    )
    inner = _judged(found["rest"])
    if runs:
        reason = f"EXPLAIN ANALYZE runs the statement: {inner.reason}"
        return _Verdict(inner.effect, reason, bounded=inner.effect is Effect.READ)
    if inner.effect is Effect.UNKNOWN:
        return inner
    return _Verdict(Effect.READ, "EXPLAIN shows a plan and runs nothing", bounded=True)


def _of_tree(tree: exp.Expr, text: str, bare: str) -> _Verdict:
    if (writing := tree.find(*_WRITING)) is not None:
        return _Verdict(Effect.MUTATE, f"{writing.key.upper()} changes data", bounded=True)
    if not isinstance(tree, _READING_ROOTS):
        name = tree.name if isinstance(tree, exp.Command) else tree.key
        return _unparsed(bare, f"{name.upper()} is not known to read only")
    if tree.find(exp.Into) is not None:
        return _Verdict(Effect.MUTATE, "SELECT INTO makes a table", bounded=True)
    if tree.find(exp.Lock) is not None:
        return _Verdict(Effect.MUTATE, "FOR UPDATE locks rows", bounded=True)
    return _calls(tree) or _rows(tree, text)


def _calls(tree: exp.Expr) -> _Verdict | None:
    """What a function in it makes of a SELECT, or None where each is known to read."""
    for function in tree.find_all(exp.Func):
        name = function.name.lower() if isinstance(function, exp.Anonymous) else ""
        if CHANGING.match(name):
            return _Verdict(
                Effect.MUTATE, f"{name}() changes things, although it stands in a SELECT", bounded=True
            )
        within = function.parent
        schema = (
            within.this.name.lower()
            if isinstance(within, exp.Dot) and within.this is not function
            else "pg_catalog"
        )
        if name and not READING.match(name):
            return _Verdict(Effect.UNKNOWN, f"{name}() is not a function known to read only")
        if schema != "pg_catalog":
            return _Verdict(Effect.UNKNOWN, f"a function of the schema {schema} is not known to read only")
    return None


def _rows(tree: exp.Expr, text: str) -> _Verdict:
    limit = tree.args.get("limit")
    written = (
        limit.expression
        if isinstance(limit, exp.Limit)
        else limit.args.get("count")
        if isinstance(limit, exp.Fetch)
        else None
    )
    recursive = any(part.args.get("recursive") for part in tree.find_all(exp.With))
    if written is not None and not recursive:
        count = int(written.name) if written.name.isdigit() and len(written.name) < _DIGITS else None
        if count is not None and count <= MOST_ROWS:
            return _Verdict(Effect.READ, "a SELECT of tables and reading functions", bounded=True)
        return _Verdict(
            Effect.READ, f"a SELECT of {written.name[:20] or 'any number of'} rows; the limit is {MOST_ROWS}"
        )
    if recursive:
        return _Verdict(Effect.READ, "a recursive query may never end")
    if isinstance(tree, exp.Values) or _one_row(tree):
        return _Verdict(Effect.READ, "a SELECT of tables and reading functions", bounded=True)
    rewrite = f"{text.rstrip().rstrip(';')}\nLIMIT 500"
    return _Verdict(Effect.READ, "a SELECT without LIMIT: its rows are capped", rewrite=rewrite)


def _one_row(tree: exp.Expr) -> bool:
    """Whether a SELECT gives one row by its form: aggregates alone without GROUP BY, or constants without FROM."""
    if not isinstance(tree, exp.Select) or tree.args.get("group") is not None:
        return False
    columns = [column.unalias() for column in tree.expressions]
    if tree.args.get("from_") is None and tree.args.get("from") is None:
        named = (function.name.lower() for function in tree.find_all(exp.Anonymous))
        return tree.find(*_MANY_ROWS) is None and not any(
            name.startswith(("regexp_", "jsonb_", "json_", "string_to")) for name in named
        )
    return bool(columns) and all(_is_aggregate(column) for column in columns)


def _is_aggregate(column: exp.Expr) -> bool:
    """`count(*)`, `round(avg(x), 2)`: every column of a table in it stands inside of an aggregate."""
    if column.find(exp.AggFunc) is None or column.find(exp.Window, *_MANY_ROWS) is not None:
        return False
    return all(
        inner.find_ancestor(exp.AggFunc, exp.Filter) is not None for inner in column.find_all(exp.Column)
    )
