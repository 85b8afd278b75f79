"""Grants and keys as they are kept: one file under the storage root, replaced in one step under a lock."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dovetail.shared import locks, private
from dovetail.shared.errors import IntegrityError, SettingsError, UsageError, unknown
from dovetail.shared.grants import Grant, Principal, ordered
from dovetail.shared.keys import Key, id_of, opens
from dovetail.shared.options import resolved
from dovetail.shared.tables import Layout

FORMAT = 1
PEPPER_BYTES = 32


@dataclass(frozen=True)
class Access:
    """All grants by name and all keys by id."""

    grants: Mapping[str, Grant] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)

    def grant(self, name: str) -> Grant:
        """Raises UsageError where there is none of that name."""
        if name not in self.grants:
            raise UsageError(unknown("grant", name, self.grants), next="dovetail access grant NAME --view VIEW")
        return self.grants[name]

    def key(self, id_: str) -> Key:
        """Raises UsageError where there is none of that id."""
        if id_ not in self.keys:
            raise UsageError(unknown("key", id_, self.keys), next="dovetail access list")
        return self.keys[id_]

    def holder(self, text: str, pepper: bytes, now: float) -> Principal | None:
        """Whose key this is; None where it opens nothing now."""
        key = self.keys.get(id_of(text) or "")
        if key is None or not opens(text, key, pepper) or not key.good(now):
            return None
        return _principal(key, ordered(key.grants, self.grants))

    def sharer(self, id_: str, grant: str, view: str, now: float) -> Principal | None:
        """Who lets others see a view by a key and by this grant of it alone; None where that may not be now."""
        key = self.keys.get(id_)
        if key is None or not key.good(now) or grant not in key.grants:
            return None
        found = _principal(key, ordered((grant,), self.grants))
        return found if found.shares(view) else None

    def with_grant(self, grant: Grant) -> Access:
        return replace(self, grants={**self.grants, grant.name: grant})

    def without_grant(self, name: str) -> Access:
        """Without a grant; keys that hold it lose it."""
        gone = self.grant(name)
        return replace(self, grants={n: g for n, g in self.grants.items() if g is not gone})

    def with_keys(self, *keys: Key) -> Access:
        return replace(self, keys={**self.keys, **{key.id: key for key in keys}})


def read(layout: Layout) -> Access:
    """What is kept; nothing where nobody was ever given anything. Raises IntegrityError for a file that is torn."""
    file = _file(layout)
    try:
        given = json.loads(file.read_bytes())
    except FileNotFoundError:
        return Access()
    except (OSError, ValueError) as error:
        raise IntegrityError("grants and keys cannot be read", where=str(file), why=str(error)) from None
    if given.get("format") != FORMAT:
        raise IntegrityError(f"grants and keys are of format {given.get('format')}", where=str(file),
                             next="use the Dovetail that wrote them, or a newer one")  # fmt: skip
    return Access(
        {name: Grant.from_json(g) for name, g in given["grants"].items()},
        {id_: Key.from_json(k) for id_, k in given["keys"].items()},
    )


def stamp(layout: Layout) -> tuple[int, ...]:
    """What differs once the file has been replaced."""
    try:
        found = _file(layout).stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def change(layout: Layout, how: Callable[[Access], Access]) -> Access:
    """Replaces what is kept by what `how` makes of it, one process at a time."""
    layout.access.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.held(layout.access / "lock", "access"):
        changed = how(read(layout))
        private.write(_file(layout), json.dumps(_document(changed), indent=1).encode())
    return changed


def pepper(reference: str, folder: Path, *, make: bool = False) -> bytes:
    """The secret that keys are hashed under, from `env:NAME` or `file:PATH`; with `make`, a file is made that is not.

    Raises:
        SettingsError: it is not there, or is too short to be one.
    """
    kind, _, name = reference.partition(":")
    where = "access.pepper in dovetail.toml"
    if kind == "file":
        file = folder / Path(name).expanduser()
        reference = f"file:{file}"
        if make and not file.exists():
            private.write(file, secrets.token_hex(PEPPER_BYTES).encode())
    text = resolved({"pepper": reference}, folder=folder, where="dovetail.toml: access")["pepper"].strip()
    if len(text) < PEPPER_BYTES:
        raise SettingsError(
            f"{reference} holds no pepper", where=where, why=f"it is empty, or shorter than {PEPPER_BYTES} characters",
            next="dovetail access key makes the file; a variable must be set by you",
        )  # fmt: skip
    return text.encode()


def _principal(key: Key, grants: tuple[Grant, ...]) -> Principal:
    return Principal(f"key {key.id} ({key.name})", grants, key.id)


def _file(layout: Layout) -> Path:
    return layout.access / "access.json"


def _document(access: Access) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "grants": {name: g.as_json() for name, g in access.grants.items()},
        "keys": {id_: k.as_json() for id_, k in access.keys.items()},
    }
