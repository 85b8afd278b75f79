"""The client without its guards."""

from __future__ import annotations

from mutant import Mutant

ANSWER, CALLS, ERRORS, LIVE, PATIENCE, QUESTION, RECEIPT, SERVER = (
    f"dovetail/client/{n}.py"
    for n in ("answer", "calls", "errors", "live", "patience", "question", "receipt", "server")
)
OF_ANSWER, OF_CLIENT, OF_LIVE, OF_PATIENCE, OF_QUESTION = (
    f"tests/client/test_{n}.py" for n in ("answer", "client", "live", "patience", "question")
)

CLIENTS = [
    Mutant(
        "a client",
        "a condition that nothing can meet asks a stream for everything",
        QUESTION,
        "    if not values:\n",
        "    if False:\n",
        f"{OF_QUESTION}::test_a_condition_without_values_is_refused_and_does_not_ask_for_everything",
    ),
    Mutant(
        "a client",
        "an answer that was cut off is taken for whole",
        ANSWER,
        "        if not stream.endswith(END):",
        "        if False:",
        f"{OF_ANSWER}::test_an_answer_that_is_not_whole_is_refused",
    ),
    Mutant(
        "a client",
        "what an answer holds is code of the notebook",
        ANSWER,
        "{escape(str(v))}",
        "{v}",
        f"{OF_ANSWER}::test_a_notebook_shows_the_first_rows_and_the_receipt_and_runs_nothing",
    ),
    Mutant(
        "a client",
        "what another server sends is read as an answer",
        CALLS,
        "        if kind != self.accept:",
        "        if False:",
        f"{OF_CLIENT}::test_what_is_no_dovetail_is_said_to_be_none",
    ),
    Mutant(
        "a client",
        "no answer rather than a wrong one is told as one that will come",
        ERRORS,
        'ServerFault if problem["type"] == INTEGRITY else _kind(status)',
        "_kind(status)",
        f"{OF_CLIENT}::test_a_problem_is_an_error_of_its_kind_that_says_what_and_what_next",
    ),
    Mutant(
        "a client",
        "the key is shown",
        SERVER,
        "field(default=None, repr=False)",
        "field(default=None)",
        f"{OF_CLIENT}::test_the_key_is_sent_and_shown_nowhere",
    ),
    Mutant(
        "a client",
        "a key that is no header is shown by the error of another library",
        SERVER,
        "        if self.key is not None and not (",
        "        if False and not (",
        f"{OF_CLIENT}::test_a_key_that_cannot_be_sent_is_refused_and_not_shown",
    ),
    Mutant(
        "a client",
        "a proxy is asked for what is on this machine",
        SERVER,
        '"trust_env": httpx.URL(self.url).host not in HERE',
        '"trust_env": True',
        f"{OF_CLIENT}::test_no_proxy_is_between_a_client_and_its_own_machine",
    ),
    Mutant(
        "a client",
        "a server that cannot is asked for ever",
        PATIENCE,
        "or self._retries >= self._patience.retries:",
        "or False:",
        f"{OF_PATIENCE}::test_after_three_retries_the_error_is_told",
    ),
    Mutant(
        "a client",
        "patience has no end",
        PATIENCE,
        "return None if late else seconds",
        "return seconds",
        f"{OF_PATIENCE}::test_nothing_is_waited_for_beyond_the_patience",
    ),
    Mutant(
        "a client",
        "a server is asked again before the time it says",
        PATIENCE,
        "_asked_for(outcome) or self._backoff()",
        "self._backoff()",
        f"{OF_PATIENCE}::test_the_server_s_word_on_when_is_kept",
    ),
    Mutant(
        "a client",
        "this machine's clock says how long the server is to be left alone",
        PATIENCE,
        '_date(outcome.headers.get("date", "")) or datetime.now(UTC)',
        "datetime.now(UTC)",
        f"{OF_PATIENCE}::test_the_server_s_word_on_when_is_kept",
    ),
    Mutant(
        "a client",
        "a field that there is none of is not asked, and nobody says so",
        QUESTION,
        "        if name not in Question.__annotations__:",
        "        if False:",
        f"{OF_QUESTION}::test_a_field_that_there_is_none_of_is_refused_with_the_closest",
    ),
    Mutant(
        "a client",
        "NaN is asked for as null",
        QUESTION,
        "float(value) if math.isfinite(value) else str(float(value))",
        "float(value)",
        f"{OF_QUESTION}::test_nan_is_not_asked_for_as_null",
    ),
    Mutant(
        "a client",
        "a value with a comma is two in a URL",
        QUESTION,
        '.replace(",", "\\\\,")',
        "",
        f"{OF_LIVE}::test_each_change_is_an_answer",
    ),
    Mutant(
        "a client",
        "an answer that says nothing of gaps is called complete",
        RECEIPT,
        'raw.get("complete", False)',
        'raw.get("complete", True)',
        f"{OF_ANSWER}::test_what_says_nothing_of_gaps_is_not_called_complete",
    ),
    Mutant(
        "a client",
        "an answer that comes again after a break is new",
        LIVE,
        "return None if again else news",
        "return news",
        f"{OF_LIVE}::test_a_stream_that_ends_begins_again_after_the_last_answer",
    ),
    Mutant(
        "a client",
        "a connection that breaks begins from nothing",
        LIVE,
        '{"Last-Event-ID": self._last} if self._last else {}',
        "{}",
        f"{OF_LIVE}::test_a_stream_that_ends_begins_again_after_the_last_answer",
    ),
    Mutant(
        "a client",
        "the answers of one version have the types of another",
        LIVE,
        "if known is None or News((), known.receipt).types != news.types:",
        "if known is None:",
        f"{OF_LIVE}::test_types_are_asked_for_anew_when_what_they_depend_on_changes",
    ),
    Mutant(
        "a client",
        "a column that an event lacks is null",
        LIVE,
        "None if row[name] is None else read(row[name]) for name, read in readers.items()} for row in rows]",
        "None if row.get(name) is None else read(row[name]) for name, read in readers.items()} for row in rows]",
        f"{OF_LIVE}::test_a_row_that_is_not_of_the_answer_s_types_is_never_guessed",
    ),
    Mutant(
        "a client",
        "a quiet stream that breaks once is given up",
        LIVE,
        "        self._attempts = None\n        return True",
        "        return True",
        f"{OF_LIVE}::test_a_stream_that_breaks_again_and_again_goes_on_as_long_as_it_comes",
    ),
    Mutant(
        "a client",
        "a stream that was open for longer than the patience is given up when it ends",
        LIVE,
        "        self._attempts = None\n        return True",
        "        self._attempts = self._patience.attempts()\n        return True",
        f"{OF_LIVE}::test_patience_counts_from_where_a_stream_broke_and_not_from_its_opening",
    ),
]
