"""Every mutant, in the order of the rules."""

from __future__ import annotations

from mutant import RULES
from mutants_of_access import ACCESS
from mutants_of_answers import ANSWERS
from mutants_of_changes import CHANGES
from mutants_of_checks import CHECKS
from mutants_of_client import CLIENTS
from mutants_of_contract import CONTRACTS
from mutants_of_deploy import DEPLOYS
from mutants_of_feed import FEEDS
from mutants_of_forget import FORGETS
from mutants_of_formats import FORMATS
from mutants_of_gates import HOLDING
from mutants_of_hooks import CALLED
from mutants_of_imports import IMPORTS
from mutants_of_kafka import KAFKA
from mutants_of_ledger import LEDGERS
from mutants_of_live import LIVES
from mutants_of_operations import OPERATIONS
from mutants_of_push import PUSHES
from mutants_of_records import RECORDS
from mutants_of_runs import RUNS
from mutants_of_set_apart import SET_APARTS
from mutants_of_sql import STATEMENTS
from mutants_of_starts import STARTS
from mutants_of_trino import TRINO
from mutants_of_watching import WATCHING
from mutants_of_workers import WORKERS

EVERY = [
    *LEDGERS, *RUNS, *RECORDS, *SET_APARTS, *ANSWERS, *STATEMENTS, *OPERATIONS, *CHECKS, *STARTS, *CLIENTS, *ACCESS,
    *CHANGES, *WATCHING, *LIVES, *PUSHES, *CONTRACTS, *WORKERS, *HOLDING, *CALLED, *IMPORTS, *FORGETS, *DEPLOYS, *FEEDS,
    *TRINO, *KAFKA, *FORMATS,
]  # fmt: skip
MUTANTS = sorted(EVERY, key=lambda m: [*RULES].index(m.rule))
