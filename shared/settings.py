"""The settings of a project: dovetail.toml, an overlay from [profile.NAME], then DOVETAIL__SECTION__KEY variables."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dovetail.shared import duration
from dovetail.shared.errors import DeclarationError, SettingsError, unknown
from dovetail.shared.options import KAFKA_DENIED, SECRET, SPARK_DENIED, refused, resolved

FILE = "dovetail.toml"
PREFIX = "DOVETAIL__"


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
    try:
        return Settings(**(_merged(document, overlay) | {"folder": file.parent}))
    except ValidationError as error:
        raise _explained(error, file, overlay, profile) from None


def _duration(text: str) -> str:
    """The same length of time in words that Spark takes as a trigger."""
    try:
        length = duration.parse(text)
    except DeclarationError as error:
        raise ValueError(error.what) from None
    whole = not length.microseconds
    return f"{int(length.total_seconds())} seconds" if whole else f"{length.total_seconds() * 1000:.0f} milliseconds"


def _loopback(host: str) -> str:
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ValueError("only this machine (127.0.0.1, ::1, localhost) may ask until access control exists")
    return host


def _brokers(bootstrap: str) -> str:
    for broker in bootstrap.split(","):
        name, _, port = broker.strip().rpartition(":")
        if bootstrap != "embedded" and not (name and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError('"embedded", or brokers as "host1:9092,host2:9092"')
    return bootstrap


def _local_root(root: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", root):
        raise ValueError("a folder, for now: object stores come in a later release")
    if not root.strip():
        raise ValueError('a folder, as in "data"')
    return root


def _texts(options: object) -> object:
    """TOML's numbers and booleans as the text that Kafka and Spark read."""
    if not isinstance(options, Mapping):
        return options
    return {k: str(v).lower() if isinstance(v, bool) else str(v) if isinstance(v, int | float) else v
            for k, v in options.items()}  # fmt: skip


def _kafka_options(options: dict[str, str]) -> dict[str, str]:
    for name, value in options.items():
        if name.startswith("kafka."):
            raise ValueError(f"write {name} without its 'kafka.'")
        if reason := refused(name, value, KAFKA_DENIED):
            raise ValueError(f"{name} {reason}")
    return options


def _spark_conf(conf: dict[str, str]) -> dict[str, str]:
    for name, value in conf.items():
        if not name.startswith("spark."):
            raise ValueError(f"{name} is no Spark setting: their names begin with 'spark.'")
        if reason := refused(name, value, SPARK_DENIED):
            raise ValueError(f"{name} {reason}")
    return conf


Duration = Annotated[str, AfterValidator(_duration)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Texts = BeforeValidator(_texts)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    _folder: Path = PrivateAttr(default=Path())


class KafkaSettings(_Section):
    """[kafka]: where records come from."""

    bootstrap: Annotated[str, AfterValidator(_brokers)] = Field(
        "embedded", description='"embedded" for the broker that Dovetail runs, or "host1:9092,host2:9092"'
    )
    options: Annotated[dict[str, str], Texts, AfterValidator(_kafka_options)] = Field(
        {}, description="client options passed on, such as security.protocol; secrets as env:NAME or file:PATH"
    )
    partitions: Count = Field(4, description="partitions of a topic that Dovetail creates")
    port: Port = Field(0, description="the embedded broker's port; 0 takes 9092, or a free one where that is taken")

    def resolved_options(self) -> dict[str, str]:
        """`options` with every reference replaced by its secret; for the client only, never to be shown."""
        return resolved(self.options, folder=self._folder, where=f"{self._folder / FILE}: kafka.options")


class StorageSettings(_Section):
    """[storage]: where tables are kept."""

    root: Annotated[str, AfterValidator(_local_root)] = Field(
        "data", description="the folder of all tables, relative to dovetail.toml"
    )

    @property
    def path(self) -> Path:
        """The root as an absolute path."""
        return (self._folder / Path(self.root).expanduser()).resolve()


class SparkSettings(_Section):
    """[spark]: the engine of batch and speed."""

    master: str = Field("local[*]", min_length=1, description='"local[*]", "spark://host:7077", "yarn", "k8s://…"')
    conf: Annotated[dict[str, str], Texts, AfterValidator(_spark_conf)] = Field(
        {}, description="Spark settings passed on; secrets as env:NAME or file:PATH"
    )
    driver_memory: str = Field("1g", pattern=r"^[1-9][0-9]*[kmgt]$", description="heap of the driver, as in 512m or 4g")

    def resolved_conf(self) -> dict[str, str]:
        """`conf` with every reference replaced by its secret; for Spark only, never to be shown."""
        return resolved(self.conf, folder=self._folder, where=f"{self._folder / FILE}: spark.conf")


class ServingSettings(_Section):
    """[serving]: where questions are answered."""

    host: Annotated[str, AfterValidator(_loopback)] = Field("127.0.0.1", description="a loopback address")
    port: Port = Field(8000, description="the port of the HTTP interface; 0 takes a free one")


class SpeedSettings(_Section):
    """[speed]: the streaming layer."""

    trigger: Duration = Field("0 seconds", description="least time between two commits; 0 seconds: as soon as possible")
    max_records_per_commit: Count = Field(100_000, description="the most records in one commit, which bounds catch-up")


class ArchiveSettings(_Section):
    """[archive]: the copy of the log into the master dataset."""

    trigger: Duration = Field("10 seconds", description="least time between two writes; longer makes larger files")
    max_records_per_commit: Count = Field(500_000, description="the most records in one write")


class DevSettings(_Section):
    """[dev]: what `dovetail dev` sends."""

    generator: str = Field("", description="a Python file that makes records, relative to dovetail.toml; empty: none")
    rate: Annotated[int, Field(ge=0)] = Field(100, description="records a second")
    seed: int = Field(7, description="the generator's seed: the same seed makes the same records")


class Settings(BaseSettings):
    """Everything a project sets; made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", validate_default=False
    )

    folder: Path = Field(description="the folder that dovetail.toml lies in; found, not set")
    views: Annotated[list[str], Field(min_length=1)] = Field(
        ["views.py"], description="the Python files that declare views, relative to dovetail.toml"
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    spark: SparkSettings = Field(default_factory=SparkSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    speed: SpeedSettings = Field(default_factory=SpeedSettings)
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings)
    dev: DevSettings = Field(default_factory=DevSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; there are no other sources."""
        return env_settings, init_settings

    def model_post_init(self, _context: Any) -> None:
        for section in vars(self).values():
            if isinstance(section, _Section):
                section._folder = self.folder


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
    return dict(kind.model_fields) if isinstance(kind, type) and issubclass(kind, _Section) else {}


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
        if not rest or rest[0] in ("options", "conf"):
            _check_json(variable, environment[variable], "[]" if section == "views" else "{}")


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
    hidden = len(path) > 1 and path[1] in ("options", "conf") and (not isinstance(value, int) or SECRET.search(dotted))
    received = "" if hidden or isinstance(value, dict) else f" is {value!r}"
    return f"{dotted}{received}: {error['msg'].removeprefix('Value error, ')}", where


def _origin(path: list[str], overlay: dict[str, Any], profile: str | None) -> str:
    held: Any = overlay
    for part in path[:2]:
        if not isinstance(held, dict) or part not in held:
            return ".".join(path)
        held = held[part]
    return ".".join(["profile", str(profile), *path])
