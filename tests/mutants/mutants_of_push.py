"""Sending changes on without its guards."""

from __future__ import annotations

from mutant import Mutant

CHANGES, DELIVER, RUN, STATE = (f"dovetail/pushing/{n}.py" for n in ("changes", "deliver", "run", "state"))
DECLARED, PROJECT = "shared/push.py", "shared/project.py"
OF_PUSH, OF_DELIVER = "tests/pushing/test_push.py", "tests/pushing/test_deliver.py"
OF_DECLARED = "tests/shared/test_push.py"

PUSHES = [
    Mutant(
        "a push",
        "what has not changed is delivered",
        CHANGES,
        "        if group is None or _same(old, new):",
        "        if group is None:",
        f"{OF_PUSH}::test_each_changed_group_is_delivered_once",
    ),
    Mutant(
        "a push",
        "an alert is sent with every change",
        CHANGES,
        "    if either is not None and either.fired is not None:",
        "    if False:",
        f"{OF_PUSH}::test_an_alert_is_sent_when_a_group_begins_to_satisfy_it_and_when_it_ceases_to",
    ),
    Mutant(
        "a push",
        "what an answer lacks because it is cut off is taken for gone",
        CHANGES,
        "    if answer.more:",
        "    if False:",
        f"{OF_PUSH}::test_an_answer_that_is_cut_off_is_refused_rather_than_half_delivered",
    ),
    Mutant(
        "a push",
        "a delivery that may have arrived is forgotten",
        RUN,
        "            self.file.write(self._state)\n            failpoint",
        "            failpoint",
        f"{OF_PUSH}::test_a_delivery_that_is_not_noted_is_repeated_as_it_was_and_then_what_came_since",
    ),
    Mutant(
        "a push",
        "a delivery that may have arrived is taken for one that has",
        RUN,
        "        if self._state.begun is not None:",
        "        self._state = self._state.ended\n        if self._state.begun is not None:",
        f"{OF_PUSH}::test_what_could_not_be_delivered_is_delivered_first",
    ),
    Mutant(
        "a push",
        "what was delivered is not noted",
        RUN,
        "        self._state = self._state.ended\n        self.file.write(self._state)",
        "        self._state = self._state.ended",
        f"{OF_PUSH}::test_what_was_delivered_is_not_delivered_again_when_it_starts_again",
    ),
    Mutant(
        "a push",
        "what was delivered of one question is taken for another's",
        STATE,
        'if kept["asked"] != self._asked or',
        "if",
        f"{OF_PUSH}::test_what_was_delivered_is_not_delivered_again_when_it_starts_again",
    ),
    Mutant(
        "a push",
        "a state that cannot be read is a beginning",
        STATE,
        "        except FileNotFoundError:",
        "        except (FileNotFoundError, ValueError):",
        f"{OF_PUSH}::test_a_state_that_cannot_be_read_is_an_error_and_not_a_beginning",
    ),
    Mutant(
        "a push",
        "others may read what was delivered",
        "shared/private.py",
        "os.O_EXCL, 0o600",
        "os.O_EXCL, 0o644",
        f"{OF_PUSH}::test_what_was_delivered_is_not_delivered_again_when_it_starts_again",
    ),
    Mutant(
        "a push",
        "a signature does not say when",
        DELIVER,
        'b"%d." % at + body',
        "body",
        f"{OF_DELIVER}::test_a_signature_is_of_the_time_and_the_body",
    ),
    Mutant(
        "a push",
        "a refusal is tried again",
        DELIVER,
        "statuses=(408, 429, *range(500, 600))",
        "statuses=range(300, 600)",
        f"{OF_DELIVER}::test_a_refusal_is_told_at_once",
    ),
    Mutant(
        "a push",
        "an address that is as good as a key is told",
        DELIVER,
        "to {self._url.host}",
        "to {self._url}",
        f"{OF_DELIVER}::test_a_receiver_that_stays_away_is_a_missing_service_and_no_address_is_told",
    ),
    Mutant(
        "a push",
        "what leaves this machine is not encrypted",
        DECLARED,
        'parts.scheme != "https" and not (parts.scheme == "http" and is_here(parts.hostname))',
        'parts.scheme not in ("http", "https")',
        f"{OF_DECLARED}::test_what_leaves_this_machine_is_encrypted",
    ),
    Mutant(
        "a push",
        "a secret is written out",
        DECLARED,
        "    if reference is None or not reference[2].strip():",
        "    if False:",
        f"{OF_DECLARED}::test_a_secret_is_a_reference_and_an_address_is_not_shown",
    ),
    Mutant(
        "a push",
        "decimals are compared as doubles",
        DECLARED,
        "float(self.number) if isinstance(value, float) else self.number",
        "float(self.number)\n        value = float(value)",
        f"{OF_DECLARED}::test_numbers_are_compared_exactly_and_null_is_none",
    ),
    Mutant(
        "a push",
        "of two of one name the last is pushed",
        PROJECT,
        "    if name in pushes:",
        "    if False:",
        f"{OF_DECLARED}::test_two_of_one_name_and_a_name_that_is_no_file_s_are_refused",
    ),
]
