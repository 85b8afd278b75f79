"""The seam to a Trino server: statements over HTTP, and its errors as Dovetail's."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

from dovetail.shared.errors import DovetailError, ServiceMissing, UsageError
from dovetail.shared.sections import TrinoSettings

SOURCE = "dovetail"
"""What Trino's list of queries names as where ours come from."""
TRIES = 3
"""How often a request is made that no server answers."""


class Trino:
    """One connection. Statements are ours, with every name quoted; nothing that a user types is one."""

    def __init__(self, settings: TrinoSettings) -> None:
        self._settings, parts = settings, urlsplit(settings.url)
        dbapi, auth = _modules()
        password = settings.resolved_password()
        self._at: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or (443 if parts.scheme == "https" else 8080),
            "http_scheme": parts.scheme,
            "auth": auth.BasicAuthentication(settings.user, password) if password else None,
            "request_timeout": settings.seconds,
            "max_attempts": TRIES,
        }
        self._connection = dbapi.connect(user=settings.user, source=SOURCE, **self._at)

    def rows(self, statement: str) -> list[list[Any]]:
        """What a statement gives, read to its end: one that writes is done then.

        Raises:
            UsageError: Trino refuses it, or who asks.
            ServiceMissing: there is no answer, or Trino ended while it gave one.
        """
        with _told(self._settings):
            return [list(row) for row in self._connection.cursor().execute(statement).fetchall()]

    def pages(self, statement: str) -> Generator[list[list[Any]], None, None]:
        """What a query gives, a page at a time, the values as JSON has them; an empty one each second while it runs.

        It was given whole where no error comes. Who closes it before has Trino end the query. Raises as `rows`.
        """
        import requests
        from trino.client import ClientSession, TrinoRequest

        with _told(self._settings), requests.Session() as http:
            session = ClientSession(user=self._settings.user, source=SOURCE, timezone="UTC")
            request = TrinoRequest(client_session=session, http_session=http, **self._at)
            status = request.process(request.post(statement))
            try:
                yield cast(list[list[Any]], status.rows)
                while status.next_uri:
                    status = request.process(request.get(status.next_uri))
                    yield cast(list[list[Any]], status.rows)
            except GeneratorExit:
                if status.next_uri:
                    with suppress(requests.RequestException):  # then it ends by itself, as nobody asks for more
                        request.delete(status.next_uri)
                raise


@contextmanager
def _told(settings: TrinoSettings) -> Iterator[None]:
    import requests
    from trino import exceptions

    where = f"[trino] url = {settings.url}"
    try:
        yield
    except exceptions.TrinoUserError as error:
        raise UsageError(
            f"Trino refuses a statement: {error.error_name}", where=where, why=error.message, next=_next(error)
        ) from error
    except exceptions.TrinoAuthError as error:
        raise UsageError(
            "Trino does not let us in", where=where, why=str(error), next="set [trino] user and password"
        ) from error
    except exceptions.TrinoQueryError as error:
        raise _missing(f"Trino failed: {error.error_name}", where, error.message) from error
    except exceptions.HttpError as error:
        if "error 401" in str(error) or "error 403" in str(error):
            raise UsageError(
                "Trino does not let us in", where=where, why=str(error), next="set [trino] user and password"
            ) from error
        raise _missing("what answers is no Trino, or one that is not ready", where, str(error)) from error
    except (requests.RequestException, exceptions.Error, OSError, ValueError) as error:
        raise _missing("Trino does not answer", where, type(error).__name__) from error


def _next(error: Any) -> str:
    if error.error_name in ("CATALOG_NOT_FOUND", "MISSING_CATALOG_NAME"):
        return "set [trino] catalog to one of the connector delta_lake; docs/trino.md"
    if error.error_name == "PROCEDURE_NOT_FOUND" or "register_table" in error.message:
        return "delta.register-table-procedure.enabled=true in the catalog; docs/trino.md"
    return "docs/trino.md"


def _missing(what: str, where: str, why: str) -> DovetailError:
    return ServiceMissing(
        what, where=where, why=why, next="see that it runs and that the address is right, then dovetail trino sync"
    )


def _modules() -> tuple[Any, Any]:
    try:
        from trino import auth, dbapi
    except ModuleNotFoundError:
        raise UsageError("the client of Trino is not installed", next="pip install 'dovetail[trino]'") from None
    return dbapi, auth
