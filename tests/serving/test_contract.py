"""The OpenAPI description is true: whatever is asked as it says, or against it, is answered as it says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from contract_stand import app, client, described
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from requests import Session
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import CheckContext
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi import checks

OPERATIONS = [
    "GET /v1/views", "GET /v1/views/{view}", "GET /v1/status", "GET /v1/receipts/{receipt}",
    "GET /v1/views/{view}/query", "POST /v1/views/{view}/query", "POST /v1/views/{view}/lookup", "POST /v1/sql",
    "POST /v1/views/{view}/embed",
    "GET /health", "GET /ready", "GET /metrics",
]  # fmt: skip
LIVE = "GET /v1/views/{view}/live"
"""Left out: it has no end. What it refuses is in test_bad_input.py."""
EMBED = "GET /embed/{link}"
"""Left out: no link can be made up. What it refuses is in test_embed.py."""
OF_NOW = {"as_of", "cursor", "at_least"}
"""Their examples are of another server's answers."""
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


def answers_or_says_not_yet(_: CheckContext, response: Response, __: Case) -> None:
    """No crash; 503 only for what does not exist yet, as of a seq that is waited for."""
    assert response.status_code < 500 or response.json()["type"] == "urn:dovetail:not-yet", response.text


CHECKS = [
    answers_or_says_not_yet, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_headers_conformance, checks.response_schema_conformance, checks.negative_data_rejection,
    checks.unsupported_method, checks.allow_header_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with app(tmp_path_factory.mktemp("contract"), keys=True) as (found, key):
        found.state.key = key
        yield found


@pytest.fixture(scope="module")
def http(made: FastAPI) -> Iterator[Session]:
    with client(made, made.state.key) as found:
        yield found


@pytest.fixture(scope="module", params=[True, False], ids=["named", "described"])
def schema(made: FastAPI, http: Session, request: pytest.FixtureRequest) -> BaseSchema:
    return described(made, named=request.param)


def operation(schema: BaseSchema, label: str) -> APIOperation:
    (found,) = [one.ok() for one in schema.get_all_operations() if one.ok().label == label]
    return found


def edges(of: APIOperation) -> Iterator[Case]:
    """Cases at the edges of what is described, on either side of them."""
    return of.schema.iter_coverage_cases(
        of, generation_modes=MODES, generation_config=of.schema.config.generation_for(operation=of)
    )


def random(of: APIOperation, n: int) -> Iterator[Case]:
    """`n` cases of each mode for which there are any, always the same."""
    fixed = {"path_parameters": {"view": "sales"}} if "{view}" in of.path else {}
    for mode in MODES if of.query or of.body else MODES[:1]:
        yield from drawn(of.as_strategy(mode, **fixed), n)


def drawn(strategy: SearchStrategy[Case], n: int) -> list[Case]:
    found = list[Case]()

    @settings(
        max_examples=n, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(strategy)
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


def hold(cases: Iterator[Case], http: Session) -> int:
    asked = 0
    for case in cases:
        # A parameter that stands for many names may be wrong by having none, and then nothing of it is sent.
        sent = (
            CHECKS
            if case.query or case.method != "GET"
            else [c for c in CHECKS if c is not checks.negative_data_rejection]
        )
        case.validate_response(case.call(session=http), checks=sent)
        asked += 1
    return asked


@pytest.mark.parametrize("label", OPERATIONS)
def test_it_holds_for_a_few_cases_of_each_operation(schema: BaseSchema, http: Session, label: str) -> None:
    of = operation(schema, label)
    assert hold(islice(edges(of), None, 300, 15), http)
    assert hold(random(of, 4), http)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("label", OPERATIONS)
def test_it_holds_at_every_edge_and_for_hundreds_of_cases(schema: BaseSchema, http: Session, label: str) -> None:
    of = operation(schema, label)
    assert hold(edges(of), http)
    assert hold(random(of, 200), http)


def test_every_operation_is_tried(made: FastAPI) -> None:
    paths: dict[str, Any] = made.openapi()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == {
        *OPERATIONS,
        LIVE,
        EMBED,
    }


def test_no_operation_ignores_the_key(made: FastAPI, http: Session) -> None:
    schema, sent = described(made, named=True), {"Authorization": f"Bearer {made.state.key}"}
    good = set()
    for label in OPERATIONS:
        for case in islice(random(operation(schema, label), 5), 3):
            answer = case.call(session=http)
            good |= {label} if answer.status_code == 200 else set()
            case.validate_response(answer, checks=[checks.ignored_auth], headers=sent)
    assert len(good) >= 8, "who has a key is answered"


def test_every_example_works(made: FastAPI, http: Session) -> None:
    receipt = http.get("/v1/views/sales/query").json()["receipt"]["id"]
    for path, methods in made.openapi()["paths"].items():
        for method, of in methods.items():
            if path.endswith(("/live", "{link}")):
                continue
            path = path.replace("{view}", "sales").replace("{receipt}", receipt)
            body = of.get("requestBody", {}).get("content", {}).get("application/json", {})
            assert http.request(method, path, json=body.get("example")).status_code == 200, path
            for parameter in of.get("parameters", ()):
                if parameter["in"] != "query" or parameter["name"] in OF_NOW:
                    continue
                example = parameter["example"]
                named = example if isinstance(example, dict) else {parameter["name"]: example}
                more = {"fill": {"bucket": "1h"}, "end": {"bucket": "1h"}, "max_age": {}}.get(parameter["name"], {})
                answer = http.get(path, params={**named, **more})
                assert answer.status_code == (503 if "max_age" in named else 200), (named, answer.text)


def test_every_problem_that_there_is_has_its_status_described(made: FastAPI) -> None:
    for path, methods in made.openapi()["paths"].items():
        for of in methods.values():
            refused = {s: r for s, r in of["responses"].items() if s >= "400"}
            assert {"400", "414", "431", "500"} <= refused.keys(), path
            for response in refused.values():
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
