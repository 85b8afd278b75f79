"""Live answers without their guards."""

from __future__ import annotations

from mutant import Mutant

LIVE, SERVICE, APP = "serving/live.py", "serving/service.py", "serving/app.py"
OF_LIVE, OF_BOUNDS = "tests/serving/test_live.py", "tests/serving/test_live_bounds.py"

LIVES = [
    Mutant(
        "connections",
        "a stream that the audit log cannot hold is open for ever",
        SERVICE,
        "            stream.leave()\n",
        "",
        "tests/serving/test_access.py::test_nobody_is_answered_whom_the_audit_log_cannot_hold",
    ),
    Mutant(
        "live answers",
        "rows that are the same are sent with every commit",
        LIVE,
        "            if self._latest.content != told.content:",
        "            if self._latest is not told:",
        f"{OF_LIVE}::test_equal_rows_are_not_sent_again",
    ),
    Mutant(
        "live answers",
        "the second answer comes as soon as it can",
        LIVE,
        "        with anyio.move_on_after(self._every):",
        "        with anyio.move_on_after(0):",
        f"{OF_LIVE}::test_what_comes_within_every_is_one_event",
    ),
    Mutant(
        "live answers",
        "a question is looked at for every commit, however seldom it is to be sent",
        LIVE,
        "            await asyncio.sleep(self._every)",
        "            await asyncio.sleep(0)",
        f"{OF_LIVE}::test_what_comes_within_every_is_one_event",
    ),
    Mutant(
        "live answers",
        "each stream looks for itself",
        LIVE,
        "            if not self._stands:",
        "            if True:",
        f"{OF_LIVE}::test_a_hundred_streams_of_one_question_take_the_looks_of_one",
    ),
    Mutant(
        "live answers",
        "a question that nobody asks any more is looked at",
        LIVE,
        "            question.close()\n",
        "            self._questions[question.view.name, question.raw + 'x'] = question\n",
        f"{OF_LIVE}::test_a_hundred_streams_of_one_question_take_the_looks_of_one",
    ),
    Mutant(
        "live answers",
        "who comes back is sent what it has",
        LIVE,
        "    if first.id != last or not last:",
        "    if True:",
        f"{OF_LIVE}::test_a_client_that_comes_back_is_sent_nothing_until_rows_change",
    ),
    Mutant(
        "live answers",
        "a stream of a view that is refused looks as if nothing came",
        SERVICE,
        "on_fail=self.live.ring",
        "on_fail=lambda _: None",
        f"{OF_LIVE}::test_rows_that_are_those_of_before_a_problem_are_sent_again",
    ),
    Mutant(
        "live answers",
        "a stream of whole answers goes on with gaps",
        SERVICE,
        "edition)\n        receipt = self._receipt(asked, edition, rows)\n        return Told",
        "edition) if 0 else 0\n        receipt = self._receipt(asked, edition, rows)\n        return Told",
        f"{OF_LIVE}::test_a_whole_answer_that_there_is_none_of_any_more_is_a_problem",
    ),
    Mutant(
        "live answers",
        "what is of one answer is taken and forgotten",
        LIVE,
        "        if name in fields.scalars:",
        "        if False:",
        f"{OF_LIVE}::test_a_wrong_question_is_refused_before_the_stream_begins",
    ),
    Mutant(
        "live answers",
        "while a view is refused every question is taken",
        SERVICE,
        "        if edition is not None:  # also where",
        "        if False:  # also where",
        f"{OF_LIVE}::test_a_wrong_question_is_refused_also_while_the_view_is",
    ),
    Mutant(
        "live answers",
        "there is no end of streams",
        LIVE,
        "        if self.streams >= self._most:",
        "        if False:",
        f"{OF_BOUNDS}::test_streams_are_counted_and_no_more_than_allowed",
    ),
    Mutant(
        "live answers",
        "who leaves keeps its place",
        LIVE,
        "        finally:\n            self.leave()",
        "        finally:\n            pass",
        f"{OF_BOUNDS}::test_streams_are_counted_and_no_more_than_allowed",
    ),
    Mutant(
        "live answers",
        "a client that reads nothing keeps its place",
        LIVE,
        "            send_timeout=SEND,",
        "            send_timeout=None,",
        f"{OF_BOUNDS}::test_a_client_that_reads_nothing_is_left",
    ),
    Mutant(
        "live answers",
        "what was meant for a client that reads nothing is kept for ever",
        APP,
        "        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)",
        "        pass",
        "tests/serving/test_process.py::test_a_connection_that_takes_nothing_is_dropped",
    ),
    Mutant(
        "live answers",
        "a server that stops waits for its streams",
        APP,
        "        self._live.end()\n",
        "",
        f"{OF_BOUNDS}::test_a_process_that_is_told_to_stop_does_not_wait_for_streams",
    ),
]
