"""SQL, judged by parsing. A SELECT is a read only when every function in it is on the list of those known to read."""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from responder.core.effect import Effect, Statement

# What sqlglot does not know it keeps as an opaque command, and says so in the log; here that is an answer, not news.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

# Functions without a parse-tree class of their own that only read. A READ ONLY transaction does not stop
# pg_terminate_backend, so a list of what is allowed is the guard, not a list of what is not.
READING = frozenset({
    "now", "version", "current_setting", "pg_size_pretty", "pg_database_size", "pg_relation_size", "pg_total_relation_size",
    "pg_table_size", "pg_indexes_size", "pg_stat_get_activity", "pg_blocking_pids", "pg_backend_pid", "pg_postmaster_start_time",
    "pg_is_in_recovery", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp", "pg_wal_lsn_diff",
    "pg_current_wal_lsn", "pg_get_indexdef", "pg_get_viewdef", "age", "txid_current_if_assigned", "clock_timestamp",
    "statement_timestamp", "transaction_timestamp", "width_bucket", "percentile_cont", "percentile_disc", "quote_ident",
    "inet_server_addr",
    "row_number", "rank", "dense_rank", "lag", "lead", "to_char", "obj_description", "has_table_privilege", "pg_get_userbyid",
    "timezone", "cardinality", "array_length", "array_to_string", "unnest", "jsonb_array_length", "jsonb_extract_path_text",
    "pg_get_expr", "pg_get_constraintdef", "pg_column_size", "pg_stat_get_backend_pid", "pg_safe_snapshot_blocking_pids",
    "format_type", "has_schema_privilege", "col_description", "pg_conf_load_time", "pg_encoding_to_char", "justify_interval",
})  # fmt: skip

# Functions that change something although they stand in a SELECT. Of all others nothing is known: they are no reads either.
CHANGING = re.compile(
    r"^(?:pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_advisory_\w+|pg_try_advisory_\w+|pg_switch_wal"
    r"|pg_promote|pg_create_\w+|pg_drop_\w+|pg_stat_reset\w*|pg_stat_statements_reset|pg_notify|pg_logical_emit_message"
    r"|pg_wal_replay_(?:pause|resume)|pg_import_system_collations|pg_file_\w+|setval|nextval|set_config|lo_\w+|dblink\w*)$"
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


def sql(text: str, line: int) -> Statement:
    def verdict(
        effect: Effect, reason: str, *, bounded: bool = False, rewrite: str | None = None
    ) -> Statement:
        return Statement(text=text, line=line, effect=effect, bounded=bounded, reason=reason, rewrite=rewrite)

    try:
        trees = [tree for tree in sqlglot.parse(text, dialect="postgres") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        return verdict(Effect.UNKNOWN, f"does not parse as SQL: {str(error).splitlines()[0][:120]}")
    if len(trees) != 1:
        return verdict(Effect.UNKNOWN, f"{len(trees)} statements where one is expected")
    tree = trees[0]
    if isinstance(tree, exp.Command):
        return verdict(Effect.UNKNOWN, f"{tree.name.upper()} is not understood")
    if (writing := tree.find(*_WRITING)) is not None:
        return verdict(Effect.MUTATE, f"{writing.key.upper()} changes data")
    if not isinstance(tree, _READING_ROOTS):
        return verdict(Effect.UNKNOWN, f"{tree.key.upper()} is not known to read only")
    if tree.find(exp.Into) is not None:
        return verdict(Effect.MUTATE, "SELECT INTO makes a table")
    if tree.find(exp.Lock) is not None:
        return verdict(Effect.MUTATE, "FOR UPDATE locks rows")
    for function in tree.find_all(exp.Anonymous):
        name = function.name.lower()
        if CHANGING.match(name):
            return verdict(Effect.MUTATE, f"{name}() changes things, although it stands in a SELECT")
        if name not in READING or function.find_ancestor(exp.Dot) is not None:
            return verdict(Effect.UNKNOWN, f"{name}() is not a function known to read only")
    if _one_row(tree) or tree.args.get("limit") is not None:
        return verdict(Effect.READ, "a SELECT of tables and reading functions", bounded=True)
    rewrite = f"{text.rstrip().rstrip(';')}\nLIMIT 500"
    return verdict(Effect.READ, "a SELECT without LIMIT: its rows are capped", rewrite=rewrite)


def _one_row(tree: exp.Expr) -> bool:
    """Whether a SELECT gives one row by its form: aggregates alone without GROUP BY, or constants without FROM."""
    if not isinstance(tree, exp.Select) or tree.args.get("group") is not None:
        return False
    if tree.args.get("from_") is None and tree.args.get("from") is None:
        return True
    columns = [column.unalias() for column in tree.expressions]
    return bool(columns) and all(isinstance(column, exp.AggFunc) for column in columns)
