"""What is told to those who watch from outside, without its guards."""

from __future__ import annotations

from mutant import Mutant

OF_METRICS, OF_TRACING = "tests/serving/test_metrics.py", "tests/serving/test_tracing.py"
OF_LOGS, OF_LINEAGE = "tests/shared/test_logs.py", "tests/shared/test_lineage.py"
NOTHING_ASKED = f"{OF_TRACING}::test_nothing_of_what_was_asked_is_in_a_span"
NO_SECRET = f"{OF_LOGS}::test_a_secret_that_came_by_reference_is_in_no_line"

WATCHING = [
    Mutant(
        "watching",
        "requests are counted by their path",
        "serving/metrics.py",
        'getattr(scope.get("route"), "path", "other")',
        'scope["path"]',
        f"{OF_METRICS}::test_random_questions_make_no_new_series",
    ),
    Mutant(
        "watching",
        "an edition that is published again times its commits again",
        "serving/metrics.py",
        "            if seq > before:",
        "            if True:",
        f"{OF_METRICS}::test_an_edition_that_is_published_again_times_nothing",
    ),
    Mutant(
        "watching",
        "the views of a source count its records once each",
        "serving/metrics.py",
        "inc(max(total - told, 0))",
        "inc(total)",
        f"{OF_METRICS}::test_books_of_a_source_are_told_by_reason_once_for_all_its_views",
    ),
    Mutant(
        "watching",
        "a span is named by the path",
        "serving/tracing.py",
        'getattr(scope.get("route"), "path", "")',
        'scope["path"]',
        NOTHING_ASKED,
    ),
    Mutant(
        "watching",
        "a span records the text of an error",
        "serving/parts.py",
        "record_exception=False, set_status_on_exception=False",
        "record_exception=True",
        NOTHING_ASKED,
    ),
    Mutant(
        "watching",
        "a request begins a trace of its own whatever it came with",
        "serving/tracing.py",
        "start_span(method, self._parent(scope), SpanKind.SERVER)",
        "start_span(method, None, SpanKind.SERVER)",
        f"{OF_TRACING}::test_a_question_is_a_span_on_the_trace_it_came_with_and_its_parts_are_below_it",
    ),
    Mutant(
        "watching",
        "a secret that is read is not known as one",
        "shared/options.py",
        "know(_secret(reference[1], reference[2].strip(), folder, where))",
        "_secret(reference[1], reference[2].strip(), folder, where)",
        NO_SECRET,
    ),
    Mutant(
        "watching",
        "a line is cut before secrets are taken out of it",
        "shared/logs.py",
        "    text = _sound(text)  # before it is cut: half a secret is not known as one\n",
        "    text = _sound(text[: MOST - 1])\n",
        NO_SECRET,
    ),
    Mutant(
        "watching",
        "a stack is logged with the secrets in it",
        "shared/secrets.py",
        "        text = text.replace(secret, GONE)\n",
        '        text = text if "Traceback" in text else text.replace(secret, GONE)\n',
        NO_SECRET,
    ),
    Mutant(
        "watching",
        "secrets are known only once they are used",
        "shared/logs.py",
        "        learn(given, folder=settings.folder)\n",
        "        pass\n",
        "tests/cli/test_logs.py::test_text_and_json_documents_hold_no_secret_either",
    ),
    Mutant(
        "watching",
        "what a terminal obeys is logged as it is",
        "shared/logs.py",
        "return inert(orjson.dumps(fields).decode())",
        "return orjson.dumps(fields).decode()",
        f"{OF_LOGS}::test_what_a_terminal_or_a_reader_of_lines_would_obey_is_escaped_and_nothing_is_lost",
    ),
    Mutant(
        "watching",
        "a job waits for its receiver of lineage for as long as that takes",
        "shared/lineage.py",
        "    sending.join(GIVE_UP)\n",
        "    sending.join()\n",
        f"{OF_LINEAGE}::test_no_job_hangs_on_its_receiver[endless]",
    ),
    Mutant(
        "watching",
        "a receiver that is told of a failure is told what was in the records",
        "shared/lineage.py",
        "error=type(error).__name__",
        "error=str(error)",
        f"{OF_LINEAGE}::test_a_batch_that_fails_tells_that_and_the_kind_of_error_alone",
    ),
    Mutant(
        "watching",
        "columns are traced through a transform as if it were not there",
        "shared/lineage_events.py",
        " and not view.transform",
        "",
        f"{OF_LINEAGE}::test_columns_are_traced_only_where_nothing_lies_between",
    ),
    Mutant(
        "watching",
        "what is declared now is taken for what an earlier version did",
        "shared/lineage_events.py",
        "project.version(view) == version and ",
        "",
        f"{OF_LINEAGE}::test_what_an_earlier_version_did_is_not_known",
    ),
]
