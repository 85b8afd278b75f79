"""Decoding, the rules of a source and repeats without their guards."""

from __future__ import annotations

from mutant import Mutant

COMMIT = "shared/commit.py"
DECODE = "shared/decode.py"
REPEATS = "shared/repeats.py"
SEEN = "shared/seen.py"
OF_COMMIT = "tests/shared/test_commit.py"
OF_DECODE = "tests/shared/test_decode.py"
OF_REPEATS = "tests/shared/test_repeats.py"
OF_JUDGE = "tests/shared/test_judge.py"
OF_LOOKUPS = "tests/shared/test_lookups.py"
POISON = f"{OF_DECODE}::test_what_is_no_record_of_the_source_gets_a_reason"
DECIDED = f"{OF_REPEATS}::test_it_decides_as_the_rule_says_whatever_happens_to_processes_and_files"
SET_APART = (
    "tests/shared/test_set_apart.py::test_a_repeat_what_was_put_right_and_what_raises_are_left_out_and_nothing_else"
)

RECORDS = [
    Mutant(
        "decoding",
        "what follows the first JSON value is forgotten",
        DECODE,
        'record.isNull() | json["end"].isNull()',
        "record.isNull()",
        POISON,
    ),
    Mutant(
        "decoding",
        "12,50 is read as 1250",
        DECODE,
        '            "locale": "de-CH",\n',
        "",
        POISON,
    ),
    Mutant(
        "decoding",
        "bytes that are no UTF-8 are read",
        DECODE,
        '        .when(~F.expr("is_valid_utf8(_value)"), "not UTF-8")\n',
        "",
        POISON,
    ),
    Mutant(
        "decoding",
        "a value of another type is null",
        DECODE,
        '    reason = reason.when(json["corrupt"].isNotNull(), clash)\n',
        "",
        POISON,
    ),
    Mutant(
        "decoding",
        "a record without its event time counts",
        DECODE,
        '            reason = reason.when(record[column].isNull(), f"no {column}")\n',
        "            pass\n",
        POISON,
    ),
    Mutant(
        "decoding",
        "a transform sees what is in quarantine",
        DECODE,
        'rows_of(rows.where(f"{REASON} is null"), ',
        "rows_of(rows, ",
        f"{OF_DECODE}::test_a_transform_sees_the_declared_columns_of_good_records_only",
    ),
    Mutant(
        "a source's rules",
        "what could not be read is judged",
        DECODE,
        'f"case when {REASON} is not null then {REASON} {broken} end as {REASON}"',
        'f"case {broken} else {REASON} end as {REASON}"',
        f"{OF_JUDGE}::test_what_breaks_a_rule_is_counted_and_goes_where_the_rule_says",
    ),
    Mutant(
        "a source's rules",
        "bytes go for a rule of less weight",
        DECODE,
        'sorted(rules, key=lambda r: bool(r["otherwise"] != "quarantine"))',
        "rules",
        f"{OF_JUDGE}::test_a_record_counts_under_the_first_rule_that_takes_it_out_quarantine_before_drop",
    ),
    Mutant(
        "a source's rules",
        "a commit that breaks a rule which says fail is published",
        "shared/judge.py",
        'if rule.otherwise == "fail" and (n := broken[Judged(rule.name, "fail")]):',
        'if False and (n := broken[Judged(rule.name, "fail")]):',
        f"{OF_JUDGE}::test_a_broken_rule_that_says_fail_refuses_the_commit_and_names_rule_record_and_command",
    ),
    Mutant(
        "a source's rules",
        "values are looked up in the dimension as it first was",
        "shared/lookups.py",
        "if self._keys is None or self._keys[0] != last.n:",
        "if self._keys is None:",
        f"{OF_LOOKUPS}::test_values_that_the_dimension_lacks_are_counted_by_its_newest_version",
    ),
    Mutant(
        "a source's rules",
        "a repeated value is compared with the first one only",
        REPEATS,
        "every=bool(rule)",
        "every=False",
        f"{OF_LOOKUPS}::test_values_that_came_before_are_counted_within_the_horizon",
    ),
    Mutant(
        "13",
        "batch takes columns as an older schema decoded them",
        "batch/master.py",
        'alike = F.col("_decoder") == decoder_id(parser(decoder))',
        "alike = F.lit(True)",
        "tests/batch/test_master.py::test_records_archived_under_another_schema_are_decoded_from_their_bytes",
    ),
    Mutant(
        "13",
        "sums of decimals are as narrow as their column",
        "shared/fold.py",
        ".cast(DecimalType(38, t.scale))",
        "",
        "tests/shared/test_fold.py::test_decimal_states_have_all_38_digits",
    ),
    Mutant(
        "15",
        "what is slow to come is told by the clock",
        "shared/rules.py",
        'log="unix_millis(`_timestamp`)"',
        'log="unix_millis(current_timestamp())"',
        f"{OF_JUDGE}::test_what_is_slow_to_come_is_told_by_kafkas_time_and_not_by_the_clock",
    ),
    Mutant(
        "15",
        "a transform may ask for the time",
        "shared/rowwise.py",
        '"""current_timestamp current_date',
        '"""current_date',
        "tests/shared/test_purity.py::test_what_is_not_row_wise_is_refused_with_its_line",
    ),
    Mutant(
        "10",
        "a record just one horizon later is no repeat",
        REPEATS,
        "if abs(at - t) <= horizon]",
        "if abs(at - t) < horizon]",
        DECIDED,
    ),
    Mutant(
        "10",
        "a record that comes late repeats whatever was counted after it",
        REPEATS,
        "if abs(at - t) <= horizon]",
        "if at - t <= horizon]",
        DECIDED,
    ),
    Mutant(
        "10",
        "a repeat is repeated",
        REPEATS,
        "        if every or not repeated:",
        "        if True:",
        DECIDED,
    ),
    Mutant(
        "10",
        "a repeat is put into the index",
        REPEATS,
        "kept = found if self._every else found.take(np.flatnonzero(~repeat))",
        "kept = found",
        DECIDED,
    ),
    Mutant(
        "10",
        "records of one commit are not compared",
        REPEATS,
        "    doubtful[1:] |= again\n    doubtful[:-1] |= again\n",
        "",
        DECIDED,
    ),
    Mutant(
        "10",
        "records of one commit are looked at as they come",
        REPEATS,
        "    for i in asked[in_time]:",
        "    for i in asked:",
        DECIDED,
    ),
    Mutant(
        "10",
        "what is older than the horizon is not forgotten at one time",
        SEEN,
        "                    if e.at[j] >= since:",
        "                    if True:",
        DECIDED,
    ),
    Mutant(
        "10",
        "a file of the index whose bytes were altered is read",
        SEEN,
        'if check and says.get("sum") != str(_sum(entries)):',
        "if False:",
        DECIDED,
    ),
    Mutant(
        "10",
        "an index that lacks a file in between is trusted",
        SEEN,
        "        if not chain or file.seq == chain[-1].after:",
        "        if True:",
        DECIDED,
    ),
    Mutant(
        "10",
        "an index that lacks its oldest files is trusted",
        REPEATS,
        " or (alive and seen.after >= alive[0].seq)",
        "",
        DECIDED,
    ),
    Mutant(
        "10",
        "the index of another ledger is trusted",
        REPEATS,
        "known = any((row.seq, row.commit_id) == seen.through for row in rows)",
        "known = True",
        f"{OF_REPEATS}::test_a_ledger_made_anew_is_told_from_the_one_the_index_is_of",
    ),
    Mutant(
        "10",
        "the index of another event id is trusted",
        REPEATS,
        "_digest([self._source.as_json(), self._horizon])",
        '"index"',
        f"{OF_REPEATS}::test_another_id_makes_the_index_anew",
    ),
    Mutant(
        "10",
        "a record that was put right is repeated by others",
        REPEATS,
        'return row.kind == "supersede" and row.decoder != self._decoder_id',
        "return False",
        f"{OF_REPEATS}::test_a_record_that_was_superseded_is_repeated_by_none",
    ),
    Mutant(
        "10",
        "a commit does not record its repeats",
        COMMIT,
        "        if folded.repeats is not None:",
        "        if False:",
        f"{OF_COMMIT}::test_what_is_set_apart_is_kept_under_the_commit_id",
    ),
    Mutant(
        "10",
        "batch counts repeats",
        "shared/set_apart.py",
        "found = without(recorded(layout, source, commits, spark), records)",
        "found = records",
        SET_APART,
    ),
]
