"""Feeding the log without its guards."""

from __future__ import annotations

from mutant import Mutant

FILES, REST, TABLE, RUN, MARKS, WRITE = (
    f"dovetail/feeding/{n}.py" for n in ("files", "rest", "table", "run", "marks", "write")
)
OF_FILES, OF_REST, OF_TABLE = (f"tests/feeding/test_{n}.py" for n in ("files", "rest", "table"))
OF_LOG, OF_DECLARED = "tests/e2e/test_feed.py", "tests/shared/test_feed.py"

FEEDS = [
    Mutant(
        "a feed",
        "marks are read before the earlier feeder is fenced",
        WRITE,
        "        self._done(self._producer.init_transactions, 30)\n        self.marks = marks.read(log, feed, into)\n",
        "        self.marks = marks.read(log, feed, into)\n        self._done(self._producer.init_transactions, 30)\n",
        f"{OF_LOG}::test_marks_are_read_once_nobody_else_can_write",
    ),
    Mutant(
        "a feed",
        "marks are not in the transaction of their rows",
        WRITE,
        "        for name, mark in {marks.ABOUT: self.marks[marks.ABOUT], **part.marks}.items():\n"
        '            self._produce(f"the mark {name}", self._feed.id, value=orjson.dumps(mark), key=name.encode())\n'
        "        self._done(self._producer.flush, 60)\n",
        "        other = self._log.producer()\n"
        "        for name, mark in {marks.ABOUT: self.marks[marks.ABOUT], **part.marks}.items():\n"
        "            other.produce(self._feed.id, value=orjson.dumps(mark), key=name.encode())\n"
        "        other.flush()\n        self._done(self._producer.flush, 60)\n",
        f"{OF_LOG}::test_each_row_is_in_the_log_once_wherever_the_feeder_is_killed",
    ),
    Mutant(
        "a feed",
        "every feeder has a transactional id of its own",
        WRITE,
        "transactional_id=feed.id)",
        'transactional_id=f"{feed.id}-{time.monotonic_ns()}")',
        f"{OF_LOG}::test_a_writer_that_was_paused_cannot_write_any_more",
    ),
    Mutant(
        "a feed",
        "a topic that was made anew is taken for the one that was fed",
        MARKS,
        '    if about["topic_id"] != into.topic_id:',
        "    if False:",
        f"{OF_LOG}::test_what_was_fed_is_of_this_topic_and_this_declaration",
    ),
    Mutant(
        "a feed",
        "marks of something else are gone on from",
        MARKS,
        '    if about["of"] != feed.of:',
        "    if False:",
        f"{OF_LOG}::test_what_was_fed_is_of_this_topic_and_this_declaration",
    ),
    Mutant(
        "a feed",
        "marks are kept where they are forgotten",
        MARKS,
        '    if policy != "compact":',
        "    if False:",
        f"{OF_LOG}::test_a_topic_that_forgets_how_far_it_came_is_refused",
    ),
    Mutant(
        "a feed",
        "a file begins anew after a kill in its middle",
        FILES,
        'fed, shape = mark["rows"] if mark else 0, self._shape(path)',
        "fed, shape = 0, self._shape(path)",
        f"{OF_FILES}::test_a_kill_at_any_part_loses_and_doubles_nothing",
    ),
    Mutant(
        "a feed",
        "a file is read while it is written",
        FILES,
        " and now - self._seen[str(name)][1] >= self.settle:",
        ":",
        f"{OF_FILES}::test_what_is_still_being_written_is_left_alone",
    ),
    Mutant(
        "a feed",
        "a file that changes while it is read is fed",
        FILES,
        "                if _state(path) != state:",
        "                if False:",
        f"{OF_FILES}::test_a_file_that_changes_while_it_is_read_waits_for_another_look",
    ),
    Mutant(
        "a feed",
        "a file that was fed and is another now is passed over",
        FILES,
        '            if mark and mark["sha"] != sha:',
        "            if False:",
        f"{OF_FILES}::test_a_file_that_was_fed_and_is_another_now_stops_the_feed",
    ),
    Mutant(
        "a feed",
        "what has changed its shape is fed",
        RUN,
        "and not self.new_shape:",
        "and False:",
        f"{OF_FILES}::test_a_file_of_another_shape_stops_the_feed_and_nothing_of_it_is_sent",
    ),
    Mutant(
        "a feed",
        "a bad row stops nothing",
        RUN,
        'if row.bad and self.feed.bad == "stop":',
        "if False:",
        f"{OF_FILES}::test_bad_rows_go_to_quarantine_as_they_are_or_stop_the_feed",
    ),
    Mutant(
        "a feed",
        "rows that commit late are passed over",
        TABLE,
        "select least(clock_timestamp(), min(xact_start)) -",
        "select clock_timestamp() -",
        f"{OF_TABLE}::test_what_commits_late_is_not_passed_over",
    ),
    Mutant(
        "a feed",
        "rows of one moment are parted",
        TABLE,
        "rows with ties",
        "rows only",
        f"{OF_TABLE}::test_rows_of_one_key_and_moment_are_not_parted",
    ),
    Mutant(
        "a feed",
        "rows that would never be read are passed over",
        TABLE,
        "        if not nullable:",
        "        if True:",
        f"{OF_TABLE}::test_a_table_whose_rows_could_be_passed_over_is_refused",
    ),
    Mutant(
        "a feed",
        "who cannot see open transactions feeds all the same",
        TABLE,
        "        if not sees:",
        "        if False:",
        f"{OF_TABLE}::test_a_user_who_cannot_see_what_is_not_over_is_refused",
    ),
    Mutant(
        "a feed",
        "items that were fed may have become others",
        REST,
        '            if _digest(rows[:fed]) != mark["digest"]:',
        "            if False:",
        f"{OF_REST}::test_items_that_were_fed_and_are_others_now_stop_the_feed",
    ),
    Mutant(
        "a feed",
        "another server is sent the headers",
        REST,
        "        if (after.scheme, after.host, after.port) != ",
        "        if False and (after.scheme, after.host, after.port) != ",
        f"{OF_REST}::test_what_is_no_page_stops_the_feed",
    ),
    Mutant(
        "a feed",
        "an API is asked as fast as it answers",
        REST,
        "        if self._feed.rate:",
        "        if False:",
        f"{OF_REST}::test_it_asks_no_faster_than_it_may",
    ),
    Mutant(
        "a feed",
        "numbers pass through a double",
        "dovetail/feeding/values.py",
        "parse_float=Decimal",
        "parse_float=float",
        f"{OF_REST}::test_each_item_is_fed_once_with_its_digits_and_the_last_page_as_it_grows",
    ),
    Mutant(
        "a feed",
        "a secret is written out",
        "shared/feed.py",
        "            REFERENCE.fullmatch(value)\n        ):",
        "            True\n        ):",
        f"{OF_DECLARED}::test_a_feed_that_cannot_be_is_refused_with_its_line",
    ),
    Mutant(
        "a feed",
        "a key that the source ignores may be gone",
        RUN,
        "marks.get(SHAPE), {*self.feed.source.columns, *self.feed.key}",
        "marks.get(SHAPE), {*self.feed.source.columns}",
        f"{OF_REST}::test_an_api_of_another_type_or_without_its_key_stops_the_feed_and_goes_on_once_mended",
    ),
]
