"""Failing records, quarantine, resends and the proof without their guards."""

from __future__ import annotations

from mutant import Mutant

COMMIT = "shared/commit.py"
RESEND = "shared/resend.py"
ALARM = "shared/alarm.py"
OF_COMMIT = "tests/shared/test_commit.py"
OF_RESEND = "tests/shared/test_resend.py"
OF_ALARM = "tests/shared/test_alarm.py"
OF_FAILING = "tests/shared/test_failing.py"
OF_SPARING = "tests/shared/test_sparing.py"
OF_QUARANTINE = "tests/shared/test_quarantine.py"
OF_PROVE = "tests/e2e/test_prove.py"
OF_NAMES = "tests/e2e/test_prove_names.py"
ANEW = "batch/repeats_anew.py"
OF_ANEW = "tests/batch/test_repeats_anew.py"
SET_APART = (
    "tests/shared/test_set_apart.py::test_a_repeat_what_was_put_right_and_what_raises_are_left_out_and_nothing_else"
)

SET_APARTS = [
    Mutant(
        "12",
        "a version that fails stops the source",
        COMMIT,
        "            detach(ledger, failure.version, note=",
        "            raise\n            detach(ledger, failure.version, note=",
        f"{OF_COMMIT}::test_a_version_that_cannot_be_had_of_a_range_is_detached_and_the_others_go_on",
    ),
    Mutant(
        "12",
        "a commit does not record what made a version raise",
        COMMIT,
        "            store.write_failing(commit_id, seq, records)\n",
        "            pass\n",
        f"{OF_COMMIT}::test_what_is_set_apart_is_kept_under_the_commit_id",
    ),
    Mutant(
        "12",
        "batch counts what made the version raise",
        "shared/set_apart.py",
        "return without(_failing(layout, source, version, commits, spark), found)",
        "return found",
        SET_APART,
    ),
    Mutant(
        "12",
        "what made one version raise is left out for all",
        "shared/set_apart.py",
        '.join(named, named.columns, "left_semi")',
        '.join(named, ["_commit_id"], "left_semi")',
        SET_APART,
    ),
    Mutant(
        "12",
        "a record that makes a version raise stops the source",
        "shared/failing.py",
        "        return _isolated(rows, rows if whole is None else whole, version, attempt, error)\n",
        "        raise\n",
        f"{OF_SPARING}::test_a_record_that_raises_is_left_out_and_given_with_its_bytes",
    ),
    Mutant(
        "12",
        "records left out for a version are not given",
        "shared/failing.py",
        "        return result, _records(whole.where(there), version, reasons)\n",
        "        return result, None\n",
        f"{OF_SPARING}::test_a_record_that_raises_is_left_out_and_given_with_its_bytes",
    ),
    Mutant(
        "12",
        "a version that fails by itself stops the source",
        "shared/failing.py",
        "        if isinstance(again, NotAlone) or said(again):\n"
        "            raise VersionFails(version, said(error)) from error\n",
        "",
        f"{OF_SPARING}::test_what_only_all_of_them_raise_is_the_version_s_fault",
    ),
    Mutant(
        "12",
        "what fails only together is taken for nobody's fault",
        "shared/failing.py",
        "if not failing or len(found) + len(failing) > most:",
        "if len(found) + len(failing) > most:",
        f"{OF_FAILING}::test_what_fails_only_together_has_no_culprit",
    ),
    Mutant(
        "12",
        "every record of a commit is tried on its own",
        "shared/failing.py",
        "if not failing or len(found) + len(failing) > most:",
        "if not failing:",
        f"{OF_FAILING}::test_more_than_the_most_are_not_looked_for",
    ),
    Mutant(
        "1",
        "quarantine shows what killed attempts left",
        "shared/quarantine.py",
        "self._table.read(named if where is None else named & where, columns)",
        "self._table.read(where, columns)",
        f"{OF_QUARANTINE}::test_records_that_no_ledger_row_names_are_not_seen",
    ),
    Mutant(
        "1",
        "places of a resend that was killed count as put right",
        "shared/supersede.py",
        'table.read(pc.field("_commit_id").isin(named))',
        "table.read()",
        f"{OF_QUARANTINE}::test_a_record_put_right_stands_apart_and_is_not_exported",
    ),
    Mutant(
        "quarantine",
        "batch counts what was put right",
        "shared/set_apart.py",
        "    found = without(supersede.frame(layout, source, ledger, spark), found)\n",
        "",
        SET_APART,
    ),
    Mutant(
        "quarantine",
        "corrected records are sent before the ledger says so",
        RESEND,
        "        seq = _superseded(layout, source, fresh, reader=reader).seq if fresh else None\n"
        "        return Resent(_sent(log, source, corrections), seq)\n",
        "        sent = _sent(log, source, corrections)\n"
        "        seq = _superseded(layout, source, fresh, reader=reader).seq if fresh else None\n"
        "        return Resent(sent, seq)\n",
        f"{OF_RESEND}::test_the_ledger_says_so_before_anything_is_sent",
    ),
    Mutant(
        "quarantine",
        "what was put right is sent again unasked",
        RESEND,
        "            refuse_put_right([c.held for c in corrections], source.name)\n",
        "            pass\n",
        f"{OF_RESEND}::test_what_was_put_right_is_sent_again_only_when_asked_for",
    ),
    Mutant(
        "quarantine",
        "what a rival put right meanwhile is sent again",
        RESEND,
        "        refuse_put_right(now, source.name)\n",
        "",
        f"{OF_RESEND}::test_a_rival_that_put_it_right_meanwhile_is_seen",
    ),
    Mutant(
        "quarantine",
        "a record that a version counts is sent again",
        RESEND,
        "        _refuse_counted(layout, source.name, now, last, reader)\n",
        "",
        f"{OF_RESEND}::test_a_version_that_counts_the_record_as_it_is_refuses_it",
    ),
    Mutant(
        "quarantine",
        "only versions in force are asked before a resend",
        RESEND,
        "{*last.versions, *_live(layout)}",
        "{*last.versions}",
        f"{OF_RESEND}::test_what_answers_though_it_is_in_force_no_more_is_asked_too",
    ),
    Mutant(
        "quarantine",
        "what may be superseded is not asked again after a lost race",
        COMMIT,
        "        allowed(last)\n        row = replace(",
        "        row = replace(",
        f"{OF_COMMIT}::test_what_may_be_superseded_is_asked_again_after_a_lost_race",
    ),
    Mutant(
        "16",
        "two resends of a source at a time",
        RESEND,
        'with held(layout.lock(f"supersede-{source.name}"), f"a resend of {source.name}"):',
        "if True:",
        f"{OF_RESEND}::test_one_resend_of_a_source_at_a_time",
    ),
    Mutant(
        "quarantine",
        "a correction that is no record is sent",
        "shared/corrections.py",
        "    if not good:",
        "    if False:",
        "tests/shared/test_corrections.py::test_what_would_come_back_to_quarantine_is_refused",
    ),
    Mutant(
        "quarantine",
        "a commit does not keep its bad records",
        COMMIT,
        "        if folded.quarantined is not None:",
        "        if False:",
        f"{OF_COMMIT}::test_quarantined_records_are_kept_under_the_commit_id",
    ),
    Mutant(
        "quarantine",
        "a terminal obeys what is in a bad record",
        "shared/quarantine.py",
        'c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in shown',
        "c for c in shown",
        f"{OF_QUARANTINE}::test_nothing_that_a_terminal_obeys_is_shown",
    ),
    Mutant(
        "quarantine",
        "no commit asks whether it is too much",
        "shared/fold.py",
        "        judge.alarm.check(found, span)\n",
        "        pass\n",
        "tests/shared/test_judge.py::test_a_commit_that_puts_too_much_in_quarantine_is_refused",
    ),
    Mutant(
        "quarantine",
        "nothing is too much",
        ALARM,
        "        if not found.above(self._limit):\n            return\n",
        "        return\n",
        f"{OF_ALARM}::test_the_error_names_the_setting_the_top_reason_and_its_first_record",
    ),
    Mutant(
        "quarantine",
        "a share of a few records is told",
        ALARM,
        "return self.consumed >= LEAST and self.quarantined",
        "return self.quarantined",
        f"{OF_ALARM}::test_no_more_than_twenty_commits_are_looked_at_and_fewer_records_tell_nothing",
    ),
    Mutant(
        "quarantine",
        "the share that is the limit is too much",
        ALARM,
        "self.quarantined > limit * self.consumed",
        "self.quarantined >= limit * self.consumed",
        f"{OF_ALARM}::test_a_share_that_is_the_limit_goes_through",
    ),
    Mutant(
        "quarantine",
        "a commit without any is stopped for those before",
        ALARM,
        "        if not folded.books.quarantined:\n            return\n",
        "",
        f"{OF_ALARM}::test_a_commit_without_any_goes_through_whatever_came_before",
    ),
    Mutant(
        "proof",
        "lost rows are not counted",
        "batch/prove.py",
        "    proof.lost += found.lost\n",
        "",
        f"{OF_PROVE}::test_a_lost_state_row_is_counted_and_its_records_named[batch]",
    ),
    Mutant(
        "proof",
        "doubled rows are not counted",
        "batch/prove.py",
        "    proof.doubled += found.doubled\n",
        "",
        f"{OF_PROVE}::test_doubled_state_rows_are_counted[speed]",
    ),
    Mutant(
        "proof",
        "states are not compared, only the number of rows",
        "batch/prove_groups.py",
        "equal = reduce(Column.__and__, alike.values(), F.col(",
        "equal = reduce(Column.__and__, (), F.col(",
        f"{OF_PROVE}::test_an_altered_sum_is_found_though_every_row_is_there",
    ),
    Mutant(
        "proof",
        "books are not compared with the log",
        "batch/prove.py",
        "        if true != said[name]:",
        "        if False:",
        f"{OF_PROVE}::test_books_that_differ_from_the_log_are_told",
    ),
    Mutant(
        "proof",
        "the master is not compared with the log",
        "batch/prove.py",
        "        _prove_master(proof, master, records, rows[0].to)\n",
        "",
        f"{OF_PROVE}::test_a_master_that_lost_or_doubled_a_record_is_told_by_its_place",
    ),
    Mutant(
        "proof",
        "the records of a table that lacks rows are not named",
        "batch/prove.py",
        "            _prove_tables(proof, manifest, rows, layout, spark)\n",
        "",
        f"{OF_PROVE}::test_a_lost_state_row_is_counted_and_its_records_named[batch]",
    ),
    Mutant(
        "proof",
        "the records behind a wrong group are not named",
        "batch/prove.py",
        "        proof.problems += told(found.wrong, view, layout)\n",
        "        pass\n",
        f"{OF_NAMES}::test_where_commit_ids_are_not_fresh_what_a_killed_attempt_left_is_counted_and_named",
    ),
    Mutant(
        "proof",
        "recorded repeats are believed",
        "batch/prove.py",
        "        _prove_repeats(proof, differing(",
        "        _ = (proof, differing(",
        f"{OF_NAMES}::test_where_repeats_are_not_recorded_they_are_named",
    ),
    Mutant(
        "proof",
        "repeats are decided by another horizon than the commits looked back over",
        "batch/prove_repeats.py",
        "(row.decoder, row.horizon) != how}",
        "row.decoder != how[0]}",
        f"{OF_NAMES}::test_where_another_horizon_was_declared_repeats_are_taken_as_recorded_and_that_is_told",
    ),
    Mutant(
        "proof",
        "a repeat is one however much later it comes",
        ANEW,
        "        again = near & known & ",
        "        again = known & ",
        f"{OF_ANEW}::test_it_decides_as_the_rule_says[0-10]",
    ),
    Mutant(
        "proof",
        "a record repeats what its commit had forgotten",
        ANEW,
        "(o.at[counts] >= o.since[left]) & ",
        "",
        f"{OF_ANEW}::test_it_decides_as_the_rule_says[0-1]",
    ),
    Mutant(
        "proof",
        "a record repeats what was put right before",
        ANEW,
        " & (o.seq[left] < o.until[counts])",
        "",
        f"{OF_ANEW}::test_what_was_put_right_is_repeated_no_more_and_what_is_given_is_taken[1]",
    ),
    Mutant(
        "proof",
        "what cannot be decided anew is decided anyway",
        ANEW,
        "        again = near & known & ~o.given[left]\n",
        "        again = near & known\n",
        f"{OF_ANEW}::test_what_was_put_right_is_repeated_no_more_and_what_is_given_is_taken[0]",
    ),
]
