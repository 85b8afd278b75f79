"""The seam to a schema registry: Confluent's HTTP interface, asked what an id means."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dovetail.shared.errors import ServiceMissing, SettingsError

if TYPE_CHECKING:
    import httpx

ROOT, FOLDER, ACCESS = "spark.dovetail.root", "spark.dovetail.folder", "spark.dovetail.registry."
"""What a session of Spark is told: the storage, the project's folder, and by reference how a registry lets it in."""
UNKNOWN = 40403
"""The registry's own code for an id that it does not have. A bare 404 may come from a proxy, or of a wrong path."""
WAITS = (0.0, 0.5, 2.0, 5.0)
"""Seconds before each try."""
TIMEOUT_S = 10.0
DEEPEST = 100
"""Schemas that one may refer to, in all."""


def session_conf(root: str, folder: Path, *, user: str, password: str) -> dict[str, str]:
    """What a session has to be told. The password is a reference: settings of a session are no secret."""
    told = {ROOT: root, FOLDER: str(folder), f"{ACCESS}user": user, f"{ACCESS}password": password}
    return {name: value for name, value in told.items() if value}


@dataclass(frozen=True)
class Schema:
    """What an id stands for. `texts` are the schemas that it refers to, each before who names it, and itself."""

    kind: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Registry:
    """A registry at its base address; name and password where it wants them."""

    address: str
    user: str = ""
    password: str = ""

    def schema(self, number: int) -> Schema | None:
        """The schema of an id; None where the registry says that it has none.

        Raises:
            ServiceMissing: it does not answer, or not as a registry does. That says nothing of the id.
            SettingsError: it does not let us in.
        """
        found = self._asked(f"schemas/ids/{number}")
        if found is None:
            return None
        texts = dict[str, None]()
        self._refer(found, texts)
        return Schema(str(found.get("schemaType") or "AVRO"), tuple(texts))

    def _refer(self, found: dict[str, Any], texts: dict[str, None]) -> None:
        for reference in found.get("references") or ():
            path = f"subjects/{quote(reference['subject'], safe='')}/versions/{reference['version']}"
            named = self._asked(path)
            if named is None or len(texts) > DEEPEST:
                raise self._missing(f"it has no {path}, which a schema of it refers to")
            self._refer(named, texts)
        texts.setdefault(found["schema"])

    def _asked(self, path: str) -> dict[str, Any] | None:
        import httpx

        why = ""
        for wait in WAITS:
            time.sleep(wait)
            try:
                answer = httpx.get(
                    f"{self.address}/{path}", auth=(self.user, self.password) if self.user else None,
                    headers={"Accept": "application/vnd.schemaregistry.v1+json, application/json"}, timeout=TIMEOUT_S,
                )  # fmt: skip
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code in (401, 403):
                raise SettingsError(
                    f"the schema registry does not let us in: it answers {answer.status_code}", where=self.address,
                    next="set user and password in [registry] of dovetail.toml",
                )  # fmt: skip
            document = _document(answer)
            if answer.status_code == 200 and isinstance(document.get("schema"), str):
                return document
            if answer.status_code == 404 and document.get("error_code") == UNKNOWN:
                return None
            why = f"it answers {answer.status_code}: {answer.text[:200]}"
        raise self._missing(why)

    def _missing(self, why: str) -> ServiceMissing:
        return ServiceMissing(
            "the schema registry does not say what a record was written with", where=self.address, why=why,
            next="start it, or mend its address in dv.avro(registry=…); then start this again: nothing is lost",
        )  # fmt: skip


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
