"""Formats beside JSON without their guards."""

from __future__ import annotations

from mutant import Mutant

KEPT, REGISTRY, RECORDS = "shared/kept_schemas.py", "shared/registry.py", "shared/binary_records.py"
OF_REGISTRY, OF_RECORDS = "tests/shared/test_registry.py", "tests/shared/test_binary_records.py"
BENT = f"{OF_RECORDS}::test_a_value_that_does_not_fit_is_not_bent"
BYTES = f"{OF_RECORDS}::test_bytes_that_are_not_one_record_of_their_schema_are_not_read"

FORMATS = [
    Mutant(
        "decoding",
        "an id that was unknown to one layer is asked for again by the other",
        KEPT,
        "if number not in self.schemas\n            and any(",
        "if number not in self.schemas\n            or any(",
        f"{OF_REGISTRY}::test_an_unknown_id_stays_unknown_below_where_it_was_asked_and_is_asked_again_above",
    ),
    Mutant(
        "decoding",
        "two processes that ask at a time believe themselves",
        KEPT,
        "return self._read()[0] == count",
        "return True",
        f"{OF_REGISTRY}::test_who_was_faster_to_find_an_id_unknown_is_believed",
    ),
    Mutant(
        "decoding",
        "an id means the same in every registry",
        KEPT,
        'if row["registry"] == self._registry and row["texts"]',
        'if row["texts"]',
        f"{OF_REGISTRY}::test_of_another_registry_an_id_means_another_schema",
    ),
    Mutant(
        "decoding",
        "a proxy that knows no page is taken for a registry that knows no id",
        REGISTRY,
        'if answer.status_code == 404 and document.get("error_code") == UNKNOWN:',
        "if answer.status_code == 404:",
        f"{OF_REGISTRY}::test_only_a_registry_double_that_says_so_does_not_know_an_id",
    ),
    Mutant(
        "decoding",
        "a decimal is rounded to its column",
        RECORDS,
        "if found != given or (",
        "if (",
        BENT,
    ),
    Mutant("decoding", "a time without a zone is taken for one in UTC", RECORDS, ".tzinfo is None", " is None", BENT),
    Mutant(
        "decoding",
        "what follows a record in its value is ignored",
        RECORDS,
        "if stream.tell() != len(value):",
        "if False:",
        BYTES,
    ),
    Mutant(
        "decoding",
        "a record below where its id was unknown is read",
        RECORDS,
        "if number not in plan.schemas or offset < plan.unknown.get(number, {}).get(partition, 0):",
        "if number not in plan.schemas:",
        f"{OF_RECORDS}::test_a_record_below_where_its_id_was_unknown_stays_unread",
    ),
    Mutant(
        "versions",
        "a stored version does not hold the schema of its records",
        "shared/versions.py",
        "        pinned.append((said.path, said.needed(view.source.where)))\n",
        "        pass\n",
        "tests/shared/test_avro.py::test_a_stored_version_holds_the_schema_of_its_records",
    ),
]
