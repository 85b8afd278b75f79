"""What dovetail.toml may hold, section by section and key by key, with what each key allows."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dovetail.shared import duration
from dovetail.shared.dialects import located, wrong
from dovetail.shared.errors import DeclarationError
from dovetail.shared.options import KAFKA_DENIED, SPARK_DENIED, refused, resolved
from dovetail.shared.percentage import share
from dovetail.shared.places import S3, is_remote, place

FILE = "dovetail.toml"
PREFIX = "DOVETAIL__"


def _duration(text: str) -> str:
    """The same length of time in words that Spark takes as a trigger."""
    try:
        length = duration.parse(text)
    except DeclarationError as error:
        raise ValueError(error.what) from None
    whole = not length.microseconds
    return f"{int(length.total_seconds())} seconds" if whole else f"{length.total_seconds() * 1000:.0f} milliseconds"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reference(text: str) -> str:
    if not re.fullmatch(r"(env|file):\S.*", text):
        raise ValueError("a reference, env:NAME or file:PATH")
    return text


def _keys_url(url: str) -> str:
    parts = urlsplit(url)
    if url and not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise ValueError("an https address")
    return url


def _brokers(bootstrap: str) -> str:
    for broker in bootstrap.split(","):
        name, _, port = broker.strip().rpartition(":")
        if bootstrap != "embedded" and not (name and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError('"embedded", or brokers as "host1:9092,host2:9092"')
    return bootstrap


def _receiver(address: str) -> str:
    """A base address; who it is for is said where it is used."""
    parts = urlsplit(address)
    good = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    if address and not good:
        raise ValueError('an address as in "http://127.0.0.1:4318", or "" for none')
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address without a name and a password: they would be written out")
    return address


def _root(root: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", root) and not S3.fullmatch(root):
        raise ValueError('a folder, or a prefix in a bucket of S3, as in "s3://bucket/prefix"')
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
        if reason := refused(name, value, KAFKA_DENIED) or wrong(name, value):
            raise ValueError(f"{name} {reason}")
    return options


def _spark_conf(conf: dict[str, str]) -> dict[str, str]:
    for name, value in conf.items():
        if not name.startswith("spark."):
            raise ValueError(f"{name} is no Spark setting: their names begin with 'spark.'")
        if reason := refused(name, value, SPARK_DENIED):
            raise ValueError(f"{name} {reason}")
    return conf


def _share(text: object) -> object:
    """A percentage as a share: 0.05 for "5%"; None for an empty text."""
    if text == "":
        return None
    found = share(text)
    if not found or found > 1:
        raise ValueError('a percentage above 0 and up to 100, as in "5%", or "" for none')
    return found


def _size(text: object) -> int:
    """So many bytes: 500000000 for "500 MB"."""
    found = re.fullmatch(r"(\d{1,6}) ?([kMGT]?B)", text) if isinstance(text, str) else None
    if not found:
        raise ValueError('a size, as in "500 MB" or "2 GB"')
    factor: int = 1000 ** ["B", "kB", "MB", "GB", "TB"].index(found[2])
    return int(found[1]) * factor


def _command(words: list[str]) -> list[str]:
    if words and not (words[0].strip() and all("\0" not in word for word in words)):
        raise ValueError('a command and its arguments, as in ["./told.sh", "sales"], or [] for none')
    return words


Share = Annotated[float | None, BeforeValidator(_share)]
Size = Annotated[int, BeforeValidator(_size)]
Duration = Annotated[str, AfterValidator(_duration)]
SomeDuration = Annotated[str, AfterValidator(lambda text: text and _duration(text))]
"""Or none: an empty text."""
Command = Annotated[list[str], AfterValidator(_command)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Texts = BeforeValidator(_texts)
JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Of key pairs only, so that nobody can sign with what is public."""
Receiver = Annotated[str, AfterValidator(_receiver)]


class Section(BaseModel):
    """One table of dovetail.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _folder: Path = PrivateAttr(default=Path())


class KafkaSettings(Section):
    """[kafka]: where records come from."""

    bootstrap: Annotated[str, AfterValidator(_brokers)] = Field(
        default="embedded", description='"embedded" for the broker that Dovetail runs, or "host1:9092,host2:9092"'
    )
    options: Annotated[dict[str, str], Texts, AfterValidator(_kafka_options)] = Field(
        default={}, description="client options passed on, such as security.protocol; secrets as env:NAME or file:PATH"
    )
    partitions: Count = Field(default=4, description="partitions of a topic that Dovetail creates")
    port: Port = Field(
        default=0, description="the embedded broker's port; 0 takes 9092, or a free one where that is taken"
    )

    def resolved_options(self) -> dict[str, str]:
        """`options` with every reference replaced by its secret; for the client only, never to be shown."""
        found = resolved(self.options, folder=self._folder, where=f"{self._folder / FILE}: kafka.options")
        return located(found, self._folder)


class RegistrySettings(Section):
    """[registry]: how schema registries let Dovetail in."""

    user: str = Field(default="", description="the name that a schema registry wants, as text, env:NAME or file:PATH")
    password: Annotated[str, AfterValidator(lambda text: text and _reference(text))] = Field(
        default="", description="its password, env:NAME or file:PATH"
    )

    @property
    def given(self) -> dict[str, str]:
        """Both, as they are written."""
        return {"user": self.user, "password": self.password}


class StorageSettings(Section):
    """[storage]: where tables are kept."""

    root: Annotated[str, AfterValidator(_root)] = Field(
        default="data", description='the folder of all tables, relative to dovetail.toml, or "s3://bucket/prefix"'
    )
    local: str = Field(
        default="",
        description="the folder of what stays on this machine: locks, the index of ids, logs, keys and grants, the "
        'embedded broker; "" for root, or for .dovetail/local where root is no folder',
    )

    @property
    def path(self) -> Path:
        """The root as an absolute path, or as a place in an object store that is handled as one."""
        return place(self.root) if S3.fullmatch(self.root) else self._absolute(self.root)

    @property
    def here(self) -> Path:
        """The folder of what stays on this machine, as an absolute path."""
        if not self.local and not S3.fullmatch(self.root):
            return self.path
        return self._absolute(self.local or ".dovetail/local")

    def _absolute(self, folder: str) -> Path:
        return (self._folder / Path(folder).expanduser()).resolve()


class SparkSettings(Section):
    """[spark]: the engine of batch and speed."""

    master: str = Field(
        default="local[*]", min_length=1, description='"local[*]", "spark://host:7077", "yarn", "k8s://…"'
    )
    conf: Annotated[dict[str, str], Texts, AfterValidator(_spark_conf)] = Field(
        default={}, description="Spark settings passed on; secrets as env:NAME or file:PATH"
    )
    driver_memory: str = Field(
        default="1g", pattern=r"^[1-9][0-9]*[kmgt]$", description="heap of the driver, as in 512m or 4g"
    )

    def resolved_conf(self) -> dict[str, str]:
        """`conf` with every reference replaced by its secret; for Spark only, never to be shown."""
        return resolved(self.conf, folder=self._folder, where=f"{self._folder / FILE}: spark.conf")


class ServingSettings(Section):
    """[serving]: where questions are answered."""

    host: str = Field(
        default="127.0.0.1", description="the address listened on; another than loopback only with access.required"
    )
    port: Port = Field(default=8000, description="the port of the HTTP interface; 0 takes a free one")
    workers: Count = Field(
        default=1, description="processes that answer; each follows the storage and holds all views in memory by itself"
    )
    engine: Literal["duckdb", "trino"] = Field(
        default="duckdb",
        description='"trino": the runs of the views stay out of memory and are asked of [trino] url; docs/trino.md',
    )
    names: list[str] = Field(
        default=[], description="names that requests may call the server by, besides its address and loopback"
    )

    @property
    def url(self) -> str:
        """Where the server of these settings is asked."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class AccessSettings(Section):
    """[access]: who may ask."""

    required: bool = Field(default=False, description="whether every request needs a key or a token")
    pepper: Annotated[str, AfterValidator(_reference)] = Field(
        default="file:.dovetail/pepper",
        description="what keys are hashed under, env:NAME or file:PATH; a file is made where there is none",
    )
    jwt_keys: Annotated[str, AfterValidator(_keys_url)] = Field(
        default="", description="https address of the JWKS of tokens that are believed; empty: none are"
    )
    jwt_issuer: str = Field(default="", description="the iss that a token must have")
    jwt_audience: str = Field(default="", description="the aud that a token must have")
    jwt_algorithms: list[JwtAlgorithm] = Field(
        default=["RS256", "ES256"], min_length=1, description="how a token may be signed"
    )
    jwt_claim: str = Field(default="dovetail", description="the claim that lists a token's grants")


class LimitSettings(Section):
    """[limits]: how much one asker, and one answer, may take. Of what is counted, each worker allows its share."""

    requests_per_second: Count = Field(default=1_000, description="requests a second of one key or token, in the mean")
    requests_at_once: Count = Field(default=64, description="requests of one key or token under way at a time")
    lookups_at_once: Count = Field(
        default=2, description="of these, how many look into the database at a time; the others wait their turn"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(default=30.0, description="the longest look into the database")
    megabytes: Count = Field(default=64, description="the largest answer")
    unread_megabytes: Count = Field(
        default=256, description="answers that wait to be read, together; beyond, who has let wait longest is dropped"
    )
    live_streams: Count = Field(
        default=200, description="the most streams of live answers at the same time; of one key or token a quarter"
    )

    def share(self, workers: int) -> LimitSettings:
        """What one of so many workers allows, so that all of them allow this; rounded up."""
        counted = ("requests_per_second", "requests_at_once", "lookups_at_once", "unread_megabytes", "live_streams")
        return self.model_copy(update={name: -(-getattr(self, name) // workers) for name in counted})


class SpeedSettings(Section):
    """[speed]: the streaming layer."""

    trigger: Duration = Field(
        default="0 seconds", description="least time between two commits; 0 seconds: as soon as possible"
    )
    max_records_per_commit: Count = Field(
        default=100_000, description="the most records in one commit, which bounds catch-up"
    )
    stop_if_quarantined: Share = Field(
        default=None,
        description='no commit is made when more of the newest records go to quarantine, as in "20%"; "" for never',
    )
    warn_if_quarantined: Share = Field(
        default=0.05, description='status warns when more of the newest records were quarantined, as in "5%"'
    )


class ArchiveSettings(Section):
    """[archive]: the copy of the log into the master dataset."""

    trigger: Duration = Field(
        default="10 seconds", description="least time between two writes; longer makes larger files"
    )
    max_records_per_commit: Count = Field(default=500_000, description="the most records in one write")


class BatchSettings(Section):
    """[batch]: what is computed from the master dataset."""

    records_per_part: Count = Field(
        default=20_000_000,
        description="about so many records are reprocessed as one part, which is not computed again after a kill",
    )
    every: SomeDuration = Field(
        default="", description='how old a view\'s newest run gets before dev runs a batch, as in "1d"; "" for never'
    )

    @property
    def every_seconds(self) -> float:
        """0 for never."""
        return duration.parse(self.every).total_seconds() if self.every else 0.0


class RetentionSettings(Section):
    """[retention]: how much is kept, and from when on status warns."""

    rollbacks: Annotated[int, Field(ge=0)] = Field(
        default=2, description="earlier sets of runs of a view that it can be rolled back to"
    )
    rollback_window: Duration = Field(
        default="7 days",
        description='how long a version that was replaced is kept up to date, to be rolled back to, as in "7 days"',
    )
    warn_quarantine: Size = Field(
        default=1_000_000_000, description='status warns when a quarantine is larger, as in "500 MB"'
    )
    warn_waste: Size = Field(
        default=1_000_000_000, description='status warns when more than this could be cleaned, as in "500 MB"'
    )
    warn_unread: Share = Field(
        default=0.5,
        description='status warns when this much of the time that Kafka keeps an unread record is over; "" for never',
    )

    @property
    def rollback_seconds(self) -> float:
        return duration.parse(self.rollback_window).total_seconds()


class TelemetrySettings(Section):
    """[telemetry]: what is told to those who watch."""

    logs: Literal["text", "json"] = Field(
        default="text", description='"json": dev, archive, speed, batch and serve log JSON lines on stderr'
    )
    traces: Receiver = Field(
        default="",
        description='an OTLP/HTTP collector that spans of requests go to, as "http://127.0.0.1:4318"; "" for none',
    )
    lineage: Receiver = Field(
        default="", description='an OpenLineage receiver that batch and speed tell what they make of what; "" for none'
    )


class TrinoSettings(Section):
    """[trino]: a Trino server whose SQL views are kept on what answers. See docs/trino.md."""

    url: Annotated[str, AfterValidator(_receiver)] = Field(
        default="", description='where it answers, as "https://trino:8443"; "" for none'
    )
    catalog: str = Field(default="dovetail", min_length=1, description="its catalog, of the connector delta_lake")
    schema_name: str = Field(
        default="dovetail",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="the schema of the views; their tables are in one of this name and _tables",
    )
    user: str = Field(default="dovetail", min_length=1, description="who registers tables and owns the views")
    password: Annotated[str, AfterValidator(lambda text: text and _reference(text))] = Field(
        default="", description="its password, env:NAME or file:PATH; over https only"
    )
    root: str = Field(
        default="",
        description='how Trino sees storage.root, as "local:///lake"; "" for the same, or local:// and its path',
    )
    grant: str = Field(
        default="", description="as which grant the views show columns; empty: what any grant masks is left out"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(default=60.0, description="the longest wait for an answer")

    @model_validator(mode="after")
    def _no_plain_password(self) -> Self:
        if self.password and not self.url.startswith("https://"):
            raise ValueError("a password goes over https only: url must begin with https://")
        return self

    def root_as_seen(self, root: Path) -> str:
        """The storage root as Trino names it."""
        return (self.root or (str(root) if is_remote(root) else f"local://{root}")).rstrip("/")

    def resolved_password(self) -> str:
        """The password itself; for the client only, never to be shown."""
        given = {"password": self.password}
        return resolved(given, folder=self._folder, where=f"{self._folder / FILE}: trino")["password"]


class HookSettings(Section):
    """[hooks]: commands that are given what happened, as JSON on stdin; without a shell, in the project's folder."""

    on_promote: Command = Field(
        default=[],
        description='called after a batch, a promote or a rollback has changed what answers, as ["./told.sh", "sales"]',
    )
    on_problem: Command = Field(
        default=[], description="called when dovetail batch fails, or a gate holds back a batch or a promote"
    )
    timeout: Duration = Field(default="30 seconds", description="how long one may take before it is ended")

    @property
    def seconds(self) -> float:
        return duration.parse(self.timeout).total_seconds()


class DevSettings(Section):
    """[dev]: what `dovetail dev` sends."""

    generator: str = Field(
        default="", description="a Python file that makes records, relative to dovetail.toml; empty: none"
    )
    rate: Annotated[int, Field(ge=0)] = Field(default=100, description="records a second")
    seed: int = Field(default=7, description="the generator's seed: the same seed makes the same records")


class Settings(BaseSettings):
    """Everything a project sets; made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", validate_default=False
    )

    folder: Path = Field(description="the folder that dovetail.toml lies in; found, not set")
    views: Annotated[list[str], Field(min_length=1)] = Field(
        default=["views.py"], description="the Python files that declare views, relative to dovetail.toml"
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    spark: SparkSettings = Field(default_factory=SparkSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    access: AccessSettings = Field(default_factory=AccessSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    speed: SpeedSettings = Field(default_factory=SpeedSettings)
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    trino: TrinoSettings = Field(default_factory=TrinoSettings)
    hooks: HookSettings = Field(default_factory=HookSettings)
    dev: DevSettings = Field(default_factory=DevSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; there are no other sources."""
        return env_settings, init_settings

    def model_post_init(self, _context: Any) -> None:
        for section in vars(self).values():
            if isinstance(section, Section):
                section._folder = self.folder
