"""The settings of a project: dovetail.toml, an overlay from [profile.NAME], then DOVETAIL__SECTION__KEY variables."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dovetail.shared.errors import SettingsError, unknown
from dovetail.shared.sections import FILE, PREFIX, Section, Settings, is_loopback

__all__ = ["FILE", "PREFIX", "Settings", "load"]


TABLES, LISTS = ("options", "conf"), ("names", "jwt_algorithms", "on_promote", "on_problem")
"""Keys whose value is a table or a list: in a variable it is written as JSON."""


def load(start: Path | None = None, *, profile: str | None = None) -> Settings:
    """The settings of the project that `start` (the working directory where None) lies in.

    Raises:
        SettingsError: there is no dovetail.toml in `start` or above it, or something in it, in the profile or in a
            DOVETAIL__ variable cannot be used; with the place, the value received and what is allowed.
    """
    file = _find((start or Path.cwd()).resolve())
    document = _read(file)
    profiles = document.pop("profile", {})
    overlay = _overlay(profiles, profile, file)
    _check_variables(os.environ)
    given = _merged(document, overlay)
    if "folder" in given:
        raise SettingsError(unknown("setting", "folder", _keys()), where=str(file), why="it is where the file lies")
    try:
        settings = Settings(folder=file.parent, **given)
    except ValidationError as error:
        raise _explained(error, file, overlay, profile) from None
    _check_access(settings, file, overlay, profile)
    if settings.serving.engine == "trino" and not settings.trino.url:
        raise SettingsError(
            "serving.engine is 'trino', and trino.url is not set",
            where=f"{file}: {_origin(['serving', 'engine'], overlay, profile)}",
            next='set [trino] url = "https://…", as in docs/trino.md, or leave out serving.engine',
        )
    return settings


def _check_access(settings: Settings, file: Path, overlay: dict[str, Any], profile: str | None) -> None:
    host, access = settings.serving.host, settings.access
    if not (access.required or is_loopback(host)):
        raise SettingsError(
            f"serving.host is '{host}': only this machine (127.0.0.1, ::1, localhost) may ask where nobody needs a key",
            where=f"{file}: {_origin(['serving', 'host'], overlay, profile)}",
            next="set access.required = true, and give keys: dovetail access key",
        )
    if access.jwt_keys and not (access.jwt_issuer and access.jwt_audience):
        raise SettingsError(
            "access.jwt_keys is set without access.jwt_issuer and access.jwt_audience",
            where=f"{file}: {_origin(['access', 'jwt_keys'], overlay, profile)}",
            why="a token that was made for others would be believed",
        )


def _find(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise SettingsError(f"no {FILE} in {start} or above", next="dovetail init NAME")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE} is not TOML: {error}", where=str(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE} cannot be read", where=str(file), why=str(error)) from None


def _overlay(profiles: object, profile: str | None, file: Path) -> dict[str, Any]:
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise SettingsError("profile must hold tables, as in [profile.test.kafka]", where=f"{file}: profile")
    if profile is None:
        return {}
    if profile not in profiles:
        raise SettingsError(unknown("profile", profile, profiles), where=str(file), next=f"add [profile.{profile}]")
    overlay: dict[str, Any] = profiles[profile]
    return overlay


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        held = merged.get(key)
        merged[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return merged


def _keys(section: str | None = None) -> dict[str, Any]:
    """The names that may be set: sections and `views` at the top, else the keys of one section."""
    fields = Settings.model_fields
    if section is None:
        return {name: field for name, field in fields.items() if name != "folder"}
    kind = fields[section].annotation
    return dict(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Section) else {}


def _check_variables(environment: Mapping[str, str]) -> None:
    """Refuses DOVETAIL__ variables that name no setting: the settings library would pass over most of them."""
    for variable in sorted(environment):
        if not variable.upper().startswith(PREFIX):
            continue
        section, *rest = variable[len(PREFIX) :].lower().split("__")
        where = f"variable {variable}"
        if section not in _keys():
            raise SettingsError(unknown("section", section, _keys()), where=where)
        if rest and rest[0] not in _keys(section):
            raise SettingsError(unknown(f"key in [{section}]:", rest[0], _keys(section)), where=where)
        if len(rest) > 1:
            why = "names of options hold dots and capitals, which variables cannot"
            parent = f"{PREFIX}{section}__{rest[0]}".upper()
            raise SettingsError(
                f"{variable} names too much", where=where, why=why, next=f"""{parent}='{{"name": "…"}}'"""
            )
        if not rest or rest[0] in (*TABLES, *LISTS):
            _check_json(
                variable,
                environment[variable],
                "[]" if section == "views" or (bool(rest) and rest[0] in LISTS) else "{}",
            )


def _check_json(variable: str, text: str, brackets: str) -> None:
    try:
        good = isinstance(json.loads(text), type(json.loads(brackets)))
    except ValueError:
        good = False
    if not good:
        form = 'a JSON list, as in ["views.py"]' if brackets == "[]" else 'a JSON object, as in {"key": "value"}'
        raise SettingsError(f"{variable} is not {form}", where=f"variable {variable}")


def _explained(error: ValidationError, file: Path, overlay: dict[str, Any], profile: str | None) -> SettingsError:
    """The first of the errors in full, the others in a line each."""
    told = [_told(dict(one), file, overlay, profile) for one in error.errors(include_url=False)]
    (what, where), others = told[0], told[1:]
    return SettingsError(what, where=where, why="; ".join(f"also {place}: {text}" for text, place in others))


def _told(error: dict[str, Any], file: Path, overlay: dict[str, Any], profile: str | None) -> tuple[str, str]:
    path = [str(part) for part in error["loc"]]
    dotted = ".".join(path)
    where = f"{file}: {_origin(path, overlay, profile)}"
    variables = [PREFIX + "__".join(path[:n]) for n in (2, 1)]
    for name in os.environ:
        if name.upper() in (v.upper() for v in variables):
            where = f"variable {name}"
    if error["type"] == "extra_forbidden":
        section = path[0] if len(path) > 1 else None
        return unknown(f"key in [{section}]:" if section else "setting", path[-1], _keys(section)), where
    value = error["input"]
    hidden = path[1:2] in (["options"], ["conf"], ["traces"], ["lineage"], ["password"])  # a secret may be among them
    received = "" if hidden or isinstance(value, dict) else f" is {value!r}"
    allowed = f"must be a table, as in [{dotted}]" if error["type"] == "model_type" else error["msg"]
    return f"{dotted}{received}: {allowed.removeprefix('Value error, ').replace('Input should', 'must')}", where


def _origin(path: list[str], overlay: dict[str, Any], profile: str | None) -> str:
    held: Any = overlay
    for part in path[:2]:
        if not isinstance(held, dict) or part not in held:
            return ".".join(path)
        held = held[part]
    return ".".join(["profile", str(profile), *path])
