"""Several workers, and clients that are slow or gone, without their guards."""

from __future__ import annotations

from mutant import Mutant

OF_WORKERS, OF_FIGURES, OF_SLOW = (f"tests/serving/test_{n}.py" for n in ("workers", "figures", "slow_clients"))
ALL_TELL = f"{OF_FIGURES}::test_whichever_is_asked_tells_of_all"
HAS_ENDED = f"{OF_FIGURES}::test_of_one_that_has_ended_only_what_it_counted_is_kept"
NONE_LEFT = f"{OF_WORKERS}::test_none_outlives_the_server_however_it_ends"
KILLED = f"{OF_WORKERS}::test_who_is_killed_is_replaced_while_the_others_answer"
NOT_COME = f"{OF_SLOW}::test_a_request_that_does_not_come_is_not_waited_for"
HAS_GONE = f"{OF_SLOW}::test_what_is_looked_up_for_who_has_gone_is_ended"
OF_NAMED = "tests/serving/test_limits.py::test_a_question_about_named_keys_waits_for_no_other"
SHARED_OUT = "tests/serving/test_shared_out.py"
OF_SHARED = "tests/serving/test_past.py::test_answers_of_many_seqs_load_a_run_once_and_leave_nothing"

WORKERS = [
    Mutant("workers", "what lies in the storage is counted once by each", "serving/figures.py",
           " and not name.startswith(OF_THE_LEDGER)", "", ALL_TELL),
    Mutant("workers", "how it stands is what the best of them says", "serving/figures.py",
           "OTHERWISE.get(name, sum if counted else max)", "(sum if counted else max)", ALL_TELL),
    Mutant("workers", "what a worker counted is forgotten when it ends", "serving/figures.py",
           "ended = [*_read(folder / f\"{place}.json\"), *_read(folder / f\"{GONE}.json\")]", "ended = list[Figure]()",
           HAS_ENDED),
    Mutant("workers", "one that has ended stands as it stood", "serving/figures.py",
           ' if figure[0][1] != "gauge"', "", HAS_ENDED),
    Mutant("workers", "each allows as much as the server", "shared/sections.py",
           "-(-getattr(self, name) // workers)", "getattr(self, name)",
           "tests/serving/test_limits.py::test_each_of_several_workers_allows_its_share_rounded_up"),
    Mutant("workers", "limits are those of a server alone", "serving/service.py",
           "settings.limits.share(settings.serving.workers)", "settings.limits",
           f"{OF_WORKERS}::test_a_key_is_one_for_all_workers"),
    Mutant("workers", "one that dies is not started again", "serving/workers.py",
           "        self._due[worker.place] = time.monotonic() + pause\n", "", KILLED),
    Mutant("workers", "none comes up, for ever", "serving/workers.py",
           "if not self._came_up or (self._in_vain >= TRIES and not answered):", "if not self._came_up:",
           f"{OF_WORKERS}::test_workers_that_die_one_after_the_other_are_given_up"),
    Mutant("workers", "one that cannot begin is started again", "serving/workers.py",
           "if not self._came_up or (", "if (",
           f"{OF_WORKERS}::test_one_that_cannot_begin_ends_the_server_with_its_own_words"),
    Mutant("workers", "they outlive the process that started them", "serving/workers.py",
           "        parent.join()\n", "        parent.join()\n        return\n", NONE_LEFT),
    Mutant("connections", "a request is waited for for ever", "serving/connections.py",
           "        super().connection_made(transport)\n        self._expect()\n",
           "        super().connection_made(transport)\n", NOT_COME),
    Mutant("connections", "the second request of a connection is waited for for ever", "serving/connections.py",
           "        self._expect()\n        super().on_message_begin()\n", "        super().on_message_begin()\n",
           NOT_COME),
    Mutant("connections", "who waits for an answer is taken for one who sends slowly", "serving/connections.py",
           "        self._came()\n        super().on_message_complete()\n", "        super().on_message_complete()\n",
           f"{OF_SLOW}::test_who_waits_for_an_answer_is_not_taken_for_one_who_sends_slowly"),
    Mutant("connections", "unread answers hold all memory", "serving/connections.py",
           "        super().pause_writing()\n        self._make_room()\n", "        super().pause_writing()\n",
           f"{OF_SLOW}::test_who_lets_wait_longest_is_dropped_when_unread_answers_hold_too_much"),
    Mutant("connections", "what is looked up for nobody goes on", "serving/database.py",
           "if now > end or (asker is not None and asker.gone):", "if now > end:", HAS_GONE),
    Mutant("connections", "nobody notices who goes", "serving/gone.py",
           "        self.gone = True\n", "", HAS_GONE),
    Mutant("connections", "who has gone still waits for a turn", "serving/gone.py",
           "lambda done: None if done.cancelled() else scope.cancel()", "lambda _: None",
           f"{OF_SLOW}::test_who_goes_while_waiting_for_a_turn_is_never_looked_up_for"),
    Mutant("connections", "all wait while the rows of one are written", "serving/service.py",
           "rows = await self._in_turn(who, shown.as_json)", "rows = shown.as_json()",
           "tests/serving/test_limits.py::test_nobody_waits_while_the_rows_of_others_are_written"),
    Mutant("connections", "those who ask much leave no core to others", "serving/service.py",
           "nullcontext() if few or limiter else self._broad.place()", "nullcontext()", OF_NAMED),
    Mutant("connections", "who names a key waits for those who ask much", "serving/service.py",
           "nullcontext() if few or limiter else", "nullcontext() if limiter else", OF_NAMED),
    Mutant("connections", "one long question holds up all that ask much", "serving/limits.py",
           "call_later(self.longest, left.close)", "call_later(60, left.close)",
           "tests/serving/test_limits.py::test_one_that_takes_long_holds_up_the_next_for_so_long_and_no_longer"),
    Mutant("connections", "answers of the past hold the places of others", "serving/service.py",
           "            return await self._in_turn(who, past, self.past)\n",
           "            return await self._in_turn(who, past)\n",
           f"{SHARED_OUT}::test_answers_of_the_past_take_no_place_of_others"),
    Mutant("connections", "one key takes all streams", "serving/live.py",
           "        if self._of[who.name] >= self._share:", "        if False:",
           f"{SHARED_OUT}::test_one_key_has_a_quarter_of_the_streams"),
    Mutant("connections", "who has left has its streams still", "serving/live.py",
           "        self._of[who.name] -= 1\n", "        self._of[who.name] += 1\n",
           f"{SHARED_OUT}::test_one_key_has_a_quarter_of_the_streams"),
    Mutant("connections", "each page of an answer loads all runs anew", "serving/past.py",
           "        if (run.version, run.id) not in self._loaded:\n", "        if True:\n", OF_SHARED),
    Mutant("connections", "runs that no answer of the past needs stay in memory", "serving/past.py",
           "self._runs.drop(self._loaded.pop(run))", "self._loaded.pop(run)", OF_SHARED),
    Mutant("connections", "what a receipt was made of is asked for without end", "serving/routes.py",
           "        with serving.admitted(who):\n            told =", "        if True:\n            told =",
           "tests/serving/test_limits.py::test_who_asks_too_much_is_told_when_to_come_again_and_others_are_not"),
    Mutant("access", "who asks what a receipt was made of is not in the audit log", "serving/routes.py",
           'return serving.note(who, "receipt", _json(told), view=told["view"], receipt=receipt)', "return _json(told)",
           "tests/serving/test_access.py::test_the_audit_log_says_who_asked_what_and_no_value"),
]  # fmt: skip
