"""The interface as it is described, and what it refuses, without its guards."""

from __future__ import annotations

from mutant import Mutant

OF_BAD, OF_CONTRACT, OF_HOST, OF_RAW = (f"tests/serving/test_{n}.py" for n in ("bad_input", "contract", "host", "raw"))
OF_DIMENSIONS = "tests/serving/test_dimensions.py"
IN_URL = f"{OF_BAD}::test_in_a_url"
ENDLESS = f"{OF_RAW}::test_a_body_without_end_is_refused_after_a_mebibyte"
HOLDS = f"{OF_CONTRACT}::test_it_holds_for_a_few_cases_of_each_operation"

CONTRACTS = [
    Mutant("the contract", "a list is put in order", "serving/query.py",
           "    if pa.types.is_nested(kind):\n        raise QueryError(f\"order_by", "    if False:\n"
           "        raise QueryError(f\"order_by", IN_URL),
    Mutant("the contract", "lists are grouped by, and crash where groups are put in order", "serving/query.py",
           "        if pa.types.is_nested(seen.type(shape, name)):", "        if False:",
           f"{OF_DIMENSIONS}::test_a_column_of_lists_or_maps_is_refused_to_group_by"),
    Mutant("the contract", "a receipt's id may have more digits than can be read", "serving/past.py",
           r"(?:\.d(\d{1,18}(?:-\d{1,18})*))?", r"(?:\.d(\d+(?:-\d+)*))?",
           f"{OF_DIMENSIONS}::test_a_receipt_whose_parts_are_pruned_is_gone_and_one_that_never_was_is_unknown"),
    Mutant("the contract", "CSV of numbers among which one is infinite is not written", "serving/formats.py",
           "    if any(isinstance(v, str) for v in values):\n", "    if False:\n",
           "tests/serving/test_formats.py::test_numbers_beside_nan_and_infinities_are_in_csv_as_json_has_them"),
    Mutant("the contract", "a refusal does not say of what it is", "serving/values.py",
           "if name not in error.what or given not in error.what:", "if False:", IN_URL),
    Mutant("the contract", "numbers are read as Python writes them", "serving/query.py",
           "if PLAIN.fullmatch(text) else", "if text else", IN_URL),
    Mutant("the contract", "a status is answered that is not described", "serving/routes.py",
           "REFUSED = (404, 406, 409, 410, 422, 429, 503)", "REFUSED = (404, 406, 409, 410, 429, 503)", HOLDS),
    Mutant("the contract", "what a receipt holds is not described", "serving/openapi_answers.py",
           '"approximate": _list(TEXT), ', "", HOLDS),
    Mutant("the contract", "a body is read as long as it comes", "serving/routes.py",
           "if len(body) > LARGEST_BODY:", "if False:", ENDLESS),
    Mutant("access", "whatever the server is called it answers", "serving/door.py",
           "if GOOD not in judged:", "if False:",
           f"{OF_HOST}::test_a_host_that_is_none_of_the_servers_names_is_refused_and_opens_nothing"),
    Mutant("access", "a path is sent on to what the Host header names", "serving/app.py",
           "redirect_slashes=False,", "redirect_slashes=True,",
           f"{OF_HOST}::test_however_a_path_is_written_nobody_sees_more_than_by_the_plain_one"),
    Mutant("access", "a refusal knows the views of others", "serving/service.py",
           'unknown("view", name, self.views(who))', 'unknown("view", name, self.store.views)',
           "tests/serving/test_access.py::"
           "test_a_view_that_one_may_not_ask_and_one_that_is_not_there_are_told_alike_on_every_route"),
]  # fmt: skip
