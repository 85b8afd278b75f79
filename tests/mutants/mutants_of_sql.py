"""Statements of SQL without their guards."""

from __future__ import annotations

from mutant import Mutant

RULE = "SQL"
TEXT, NAMES, WHERE, SQL, PLAN, JOIN = (
    f"serving/{n}.py" for n in ("sql_text", "sql_names", "sql_where", "sql", "sql_plan", "sql_join")
)
OF_SQL, OF_JOIN = "tests/serving/test_sql.py", "tests/serving/test_sql_join.py"
REFUSED = "tests/serving/test_sql_refused.py::test_it_is_refused_by_name_with_what_can_be_asked"
CANNOT = f"{OF_SQL}::test_what_a_view_cannot_answer_is_refused"

STATEMENTS = [
    Mutant(RULE, "what a part of a statement says beyond what is known is ignored", TEXT,
           "        if value and name not in known:", "        if False:", REFUSED),
    Mutant(RULE, "a statement may be of any length", TEXT,
           'if len(text.encode(errors="replace")) > LONGEST:', "if False:", REFUSED),
    Mutant(RULE, "brackets may be nested as deep as the parser bears", TEXT,
           "        if depth > DEEPEST:", "        if False:", REFUSED),
    Mutant(RULE, "a statement that the parser cannot bear is a crash", TEXT,
           "except RecursionError:", "except ZeroDivisionError:", REFUSED),
    Mutant(RULE, "what follows a semicolon is ignored", TEXT,
           "if token.token_type == TokenType.SEMICOLON and n + 1 < len(tokens):", "if False:", REFUSED),
    Mutant(RULE, "a statement may begin with any word", TEXT,
           "if not tokens or tokens[0].token_type != TokenType.SELECT:", "if not tokens:", REFUSED),
    Mutant(RULE, "a text is a view", SQL,
           "if text[node.this.meta[\"start\"]] == \"'\":", "if False:", REFUSED),
    Mutant(RULE, "a column that is not grouped by may be shown", SQL,
           "if isinstance(source, Measure) or source in grouped:", "if True:", REFUSED),
    Mutant(RULE, "rows are ordered by what is not grouped by", SQL,
           "if not isinstance(source, Measure) and source not in grouped:", "if False:", REFUSED),
    Mutant(RULE, "nulls come first where they should, and then last", SQL,
           'if node.args.get("nulls_first"):', "if False:", REFUSED),
    Mutant(RULE, "two columns of one name are one", SQL,
           "        if name in found:", "        if False:", REFUSED),
    Mutant(RULE, "views are joined by other columns than they are grouped by", SQL,
           "if using and {source.name for source in grouped} != {*using}:", "if False:", REFUSED),
    Mutant(RULE, "null is not FR", WHERE,
           "tuple(dict.fromkeys((*test.values, NULL)))", "test.values",
           f"{OF_SQL}::test_null_is_neither_a_value_nor_not_that_value"),
    Mutant(RULE, "an OR over two columns is one over the first", WHERE,
           "if len(of) != 1 or len(others) > 1", "if not of or len(others) > 1", REFUSED),
    Mutant(RULE, "of two bounds on one side the first holds", WHERE,
           '            if known and test.op != "not":', "            if False:", REFUSED),
    Mutant(RULE, "a pattern is its beginning", WHERE,
           'pattern.kind != "text" or not re.fullmatch(', 'pattern.kind != "text" or not re.match(', REFUSED),
    Mutant(RULE, "a part of a bucket is a bucket", WHERE,
           "            if isinstance(test.of, Time):\n", "            if False:\n", REFUSED),
    Mutant(RULE, "a list of values may be of any length", WHERE,
           "if not 0 < len(node.expressions) <= MOST_VALUES:", "if not node.expressions:", REFUSED),
    Mutant(RULE, "a number is compared with texts, as a text", PLAN,
           "    for test in (*where, *having):\n        _check_kind(test, shape)\n", "", CANNOT),
    Mutant(RULE, "a name given in SELECT hides a column in GROUP BY", PLAN,
           "if both := [name for name in asked.borrowed if name in columns]:", "if both := []:", CANNOT),
    Mutant(RULE, "OFFSET is ignored", PLAN,
           "part.table.slice(asked.offset)", "part.table",
           f"{OF_SQL}::test_rows_cut_off_are_told_without_the_cursor_of_another_question"),
    Mutant(RULE, "a statement is given the cursor of another question", PLAN,
           'if name != "next"}', "}",
           f"{OF_SQL}::test_rows_cut_off_are_told_without_the_cursor_of_another_question"),
    Mutant(RULE, "two views are joined as they stand", JOIN,
           'while len({part.receipt["seq"] for part in parts}) > 1:', "while False:",
           f"{OF_JOIN}::test_both_are_asked_at_the_same_seq"),
    Mutant(RULE, "two views that do not come to one seq are joined all the same", JOIN,
           "        if time.monotonic() >= until:\n",
           "        if time.monotonic() >= until:\n            break\n        if False:\n",
           f"{OF_JOIN}::test_views_that_come_to_no_common_seq_are_refused"),
    Mutant(RULE, "a part of a view's groups is joined", JOIN,
           'if part.receipt.get("more"):', "if False:",
           f"{OF_JOIN}::test_a_side_that_is_cut_off_is_not_joined"),
    Mutant(RULE, "views of different sources are joined", JOIN,
           "if first.source != second.source:", "if False:",
           f"{OF_JOIN}::test_views_of_different_sources_are_refused"),
    Mutant(RULE, "doubles are joined", JOIN,
           "elif pa.types.is_floating(kinds[0]) or", "elif",
           f"{OF_JOIN}::test_what_cannot_be_joined_is_refused"),
    Mutant(RULE, "a condition on what may be missing is asked before the join", NAMES,
           "if side and side not in self.whole:", "if False:", REFUSED),
    Mutant(RULE, "what was typed in the shell is kept for all to read", "dovetail/cli/shell.py",
           "        file.chmod(0o600)  # also one that was there\n", "",
           "tests/cli/test_sql.py::test_what_was_typed_is_kept_for_its_owner_alone"),
]  # fmt: skip
