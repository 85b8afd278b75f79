"""Settings: found by walking up, refused by name, overridden by variables, secrets by reference only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from dovetail.shared.errors import SettingsError
from dovetail.shared.sections import Section, Settings
from dovetail.shared.settings import load


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("DOVETAIL__"):
            monkeypatch.delenv(name)


def project(folder: Path, text: str = "") -> Path:
    (folder / "dovetail.toml").write_text(text, encoding="utf-8")
    return folder


def refusal(folder: Path, text: str, *, profile: str | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(project(folder, text), profile=profile)
    assert caught.value.exit_code == 2
    return caught.value


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(project(tmp_path))
    assert settings.folder == tmp_path
    assert settings.views == ["views.py"]
    assert (settings.kafka.bootstrap, settings.kafka.partitions, settings.kafka.port) == ("embedded", 4, 0)
    assert (settings.spark.master, settings.spark.driver_memory) == ("local[*]", "1g")
    assert (settings.serving.host, settings.serving.port, settings.serving.workers) == ("127.0.0.1", 8000, 1)
    assert (settings.speed.trigger, settings.speed.max_records_per_commit) == ("0 seconds", 100_000)
    assert (settings.speed.stop_if_quarantined, settings.speed.warn_if_quarantined) == (None, 0.05)
    assert (settings.archive.trigger, settings.archive.max_records_per_commit) == ("10 seconds", 500_000)
    kept = settings.retention
    assert (kept.rollbacks, kept.rollback_window, kept.rollback_seconds) == (2, "7 days", 7 * 86_400)
    assert (kept.warn_quarantine, kept.warn_waste, kept.warn_unread) == (10**9, 10**9, 0.5)
    assert (settings.batch.records_per_part, settings.batch.every, settings.batch.every_seconds) == (
        20_000_000,
        "",
        0.0,
    )
    assert (settings.dev.generator, settings.dev.rate, settings.dev.seed) == ("", 100, 7)
    assert (settings.telemetry.logs, settings.telemetry.traces, settings.telemetry.lineage) == ("text", "", "")
    assert (settings.hooks.on_promote, settings.hooks.on_problem, settings.hooks.seconds) == ([], [], 30.0)
    assert settings.storage.path == tmp_path / "data"


def test_the_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = project(tmp_path) / "a" / "b"
    below.mkdir(parents=True)
    assert load(below).folder == tmp_path


def test_the_file_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path))
    assert load().folder == tmp_path


def test_without_a_file_the_next_command_is_init(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"no dovetail.toml in {tmp_path} or above\n  next: dovetail init NAME"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(project(tmp_path))
    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka.port = 1


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("[kafka]\nbootstap = 'x'", "unknown key in [kafka]: 'bootstap': did you mean 'bootstrap'?", "kafka.bootstap"),
        ("[kafak]\nport = 1", "unknown setting 'kafak': did you mean 'kafka'?", "kafak"),
        ("folder = '/tmp'", "unknown setting 'folder'", ""),
        ("[kafka]\nport = 70000", "kafka.port is 70000: must be less than or equal to 65535", "kafka.port"),
        ("[kafka]\npartitions = 0", "kafka.partitions is 0: must be greater than or equal to 1", "kafka.partitions"),
        (
            "[kafka]\nbootstrap = 'broker'",
            "kafka.bootstrap is 'broker': \"embedded\", or brokers as",
            "kafka.bootstrap",
        ),
        ("kafka = 3", "kafka is 3: must be a table, as in [kafka]", "kafka"),
        ("views = []", "views is []: List should have at least 1 item", "views"),
        (
            "[storage]\nroot = 'gs://bucket/prefix'",
            "storage.root is 'gs://bucket/prefix': a folder, or a prefix in a bucket of S3, as in",
            "storage.root",
        ),
        ("[spark]\ndriver_memory = '1 gig'", "spark.driver_memory is '1 gig'", "spark.driver_memory"),
        ("[spark]\nconf = {'sql.x' = '1'}", "sql.x is no Spark setting", "spark.conf"),
        ("[speed]\ntrigger = 'soon'", "speed.trigger is 'soon': 'soon' is not a length of time", "speed.trigger"),
        (
            "[speed]\nstop_if_quarantined = 0.2",
            "speed.stop_if_quarantined is 0.2: a percentage above 0 and up to 100, as in",
            "speed.stop_if_quarantined",
        ),
        ("[speed]\nwarn_if_quarantined = '101%'", "speed.warn_if_quarantined is '101%': a percentage", ""),
        ("[serving]\nworkers = 0", "serving.workers is 0: must be greater than or equal to 1", "serving.workers"),
        ("[serving]\nengine = 'spark'", "serving.engine is 'spark': must be 'duckdb' or 'trino'", "serving.engine"),
        ("[serving]\nengine = 'trino'", "serving.engine is 'trino', and trino.url is not set", "serving.engine"),
        ("[serving]\nhost = '0.0.0.0'", "serving.host is '0.0.0.0': only this machine", "serving.host"),
        ("[serving]\nhost = 'example.org'", "serving.host is 'example.org': only this machine", "serving.host"),
        (
            "[telemetry]\ntraces = 'host:4318'",
            'traces: an address as in "http://127.0.0.1:4318", or',
            "telemetry.traces",
        ),
        ("[telemetry]\ntraces = 'http://h?k=1'", "telemetry.traces: an address as in", "telemetry.traces"),
        ("[telemetry]\ntraces = 'http://u:p@h'", "telemetry.traces: an address without a name and a password", ""),
        ("[kafka", "dovetail.toml is not TOML: ", ""),
        ("profile = 1", "profile must hold tables", "profile"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str, what: str, where: str) -> None:
    error = refusal(tmp_path, text)
    assert what in error.what
    assert error.where.startswith(str(tmp_path / "dovetail.toml"))
    assert error.where.endswith(where)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path, "[kafka]\nport = -1\n[serving]\nport = -2")
    assert "kafka.port is -1" in error.what
    assert "serving.port is -2" in error.why


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_a_loopback_address_is_accepted(tmp_path: Path, host: str) -> None:
    assert load(project(tmp_path, f"[serving]\nhost = '{host}'")).serving.host == host


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("10 seconds", "10 seconds"),
        ("200 milliseconds", "200 milliseconds"),
        ("1m", "60 seconds"),
        ("1500ms", "1500 milliseconds"),
    ],
)
def test_a_trigger_is_kept_in_words_that_spark_takes(tmp_path: Path, text: str, trigger: str) -> None:
    assert load(project(tmp_path, f"[speed]\ntrigger = '{text}'")).speed.trigger == trigger


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("0.5 %", 0.005), ("", None)])
def test_a_share_is_kept_as_a_number(tmp_path: Path, text: str, share: float | None) -> None:
    speed = load(project(tmp_path, f"[speed]\nwarn_if_quarantined = '{text}'")).speed
    assert speed.warn_if_quarantined == share


def test_a_profile_overlays_key_by_key(tmp_path: Path) -> None:
    text = (
        "[kafka]\nport = 1\npartitions = 2\noptions = {a = 'x', b = 'x'}\n"
        "[profile.ci.kafka]\nport = 3\noptions = {b = 'y'}\n"
    )
    assert load(project(tmp_path, text)).kafka.port == 1
    kafka = load(tmp_path, profile="ci").kafka
    assert (kafka.port, kafka.partitions, kafka.options) == (3, 2, {"a": "x", "b": "y"})


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    error = refusal(tmp_path, "[profile.test.kafka]\nport = 3", profile="tset")
    assert error.what == "unknown profile 'tset': did you mean 'test'? Known: test"


def test_a_mistake_in_a_profile_is_placed_there(tmp_path: Path) -> None:
    error = refusal(tmp_path, "[profile.test.kafka]\nport = -3", profile="test")
    assert error.where.endswith(": profile.test.kafka.port")


def test_a_variable_wins_over_file_and_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL__KAFKA__PORT", "9")
    monkeypatch.setenv("DOVETAIL__KAFKA__OPTIONS", '{"client.rack": "b"}')
    monkeypatch.setenv("DOVETAIL__VIEWS", '["more.py"]')
    text = "[kafka]\nport = 1\noptions = {a = 'x'}\n[profile.ci.kafka]\nport = 3\n"
    settings = load(project(tmp_path, text), profile="ci")
    assert settings.kafka.port == 9
    assert settings.kafka.options == {"a": "x", "client.rack": "b"}
    assert settings.views == ["more.py"]


def test_every_key_can_be_set_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"bootstrap": "h:1", "options": '{"a": "b"}', "conf": '{"spark.a": "b"}', "host": "::1"}
    values |= {"stop_if_quarantined": "11%", "warn_if_quarantined": "11%", "warn_unread": "11%"}
    values |= {"warn_quarantine": "11 MB", "warn_waste": "11 MB", "rollback_window": "11 days", "every": "11 days"}
    values |= {
        "trigger": "7 seconds",
        "driver_memory": "2g",
        "root": "there",
        "local": "here",
        "master": "yarn",
        "generator": "g.py",
    }
    values |= {"required": "true", "pepper": "env:P", "names": '["n"]', "jwt_keys": "https://issuer.example/keys"}
    values |= {"jwt_algorithms": '["PS256"]', "logs": "json", "traces": "http://h:1", "lineage": "http://h:1"}
    values |= {"on_promote": '["c"]', "on_problem": '["c"]', "timeout": "11 seconds"}
    values |= {"url": "https://h:1", "schema_name": "s", "password": "env:P", "engine": "trino", "user": "me"}
    text = "[access]\njwt_issuer = 'i'\njwt_audience = 'a'\n[trino]\nurl = 'https://h'"
    default = load(project(tmp_path, text))
    for section, field in Settings.model_fields.items():
        if not isinstance(field.annotation, type) or not issubclass(field.annotation, Section):
            continue
        for key in field.annotation.model_fields:
            with monkeypatch.context() as patch:
                patch.setenv(f"DOVETAIL__{section}__{key}".upper(), values.get(key, "11"))
                changed = load(tmp_path)
            assert getattr(getattr(changed, section), key) != getattr(getattr(default, section), key), key


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("DOVETAIL__KAFAK__PORT", "1", "unknown section 'kafak': did you mean 'kafka'?"),
        ("DOVETAIL__FOLDER", "/tmp", "unknown section 'folder'"),
        ("DOVETAIL__KAFKA__PROT", "1", "unknown key in [kafka]: 'prot': did you mean 'port'?"),
        ("DOVETAIL__KAFKA__PORT__X", "1", "DOVETAIL__KAFKA__PORT__X names too much"),
        ("DOVETAIL__KAFKA__PORT", "many", "kafka.port is 'many': must be a valid integer"),
        ("DOVETAIL__KAFKA__OPTIONS", "a=b", "DOVETAIL__KAFKA__OPTIONS is not a JSON object"),
        ("DOVETAIL__VIEWS", "views.py", "DOVETAIL__VIEWS is not a JSON list"),
        ("DOVETAIL__SERVING__NAMES", "example.org", "DOVETAIL__SERVING__NAMES is not a JSON list"),
        ("DOVETAIL__KAFKA", '{"prot": 1}', "unknown key in [kafka]: 'prot': did you mean 'port'?"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, what: str
) -> None:
    monkeypatch.setenv(variable, value)
    error = refusal(tmp_path, "")
    assert what in error.what
    assert error.where == f"variable {variable}"


def test_every_key_is_described() -> None:
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        keys = kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else {name: field}
        assert all(key.description for key in keys.values()), name


def test_loading_settings_brings_no_pyspark() -> None:
    script = "import sys, dovetail.shared.settings; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_size_is_a_number_with_its_unit(tmp_path: Path) -> None:
    written = load(project(tmp_path, '[retention]\nwarn_waste = "500 MB"\nwarn_quarantine = "2TB"\n')).retention
    assert (written.warn_waste, written.warn_quarantine) == (500_000_000, 2 * 10**12)
    for wrong in ('"500"', '"-1 GB"', "500", '"1 PB"'):
        said = refusal(tmp_path, f"[retention]\nwarn_waste = {wrong}\n")
        assert 'a size, as in "500 MB" or "2 GB"' in said.what
