"""The serving process: light to import, refuses a port in use and addresses that others can reach, ends cleanly."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from serving_stand import serving_process

from dovetail.serving import app
from dovetail.serving.app import serve
from dovetail.shared.errors import ServiceMissing, SettingsError
from dovetail.shared.settings import Settings

HEAVY = "{m.split('.')[0] for m in sys.modules} & {'pyspark', 'delta', 'py4j'}"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_serving_never_brings_spark_along() -> None:
    assert python(f"import sys, dovetail.serving.app; print({HEAVY})") == "set()"


def test_importing_serving_itself_is_light() -> None:
    assert python("import sys, dovetail.serving; print('duckdb' in sys.modules)") == "False"


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceMissing) as missing:
            serve(Settings(folder=tmp_path, serving={"port": port}))  # type: ignore[arg-type]
    assert missing.value.exit_code == 3
    assert f"port {port}" in missing.value.what
    assert "serving.port" in missing.value.where


@pytest.mark.skipif(sys.platform != "linux", reason="never: other systems have no such option")
def test_a_connection_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "UNREAD_MS", 300)
    with app._listening("127.0.0.1", 0) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.settimeout(20)  # whose error reads otherwise
        with accepted, pytest.raises(TimeoutError, match=r"Connection timed out"):
            accepted.sendall(bytes(50_000_000))


def test_an_address_that_others_can_reach_is_refused_even_past_the_settings(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    serving = settings.serving.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(SettingsError, match="only this machine may ask"):
        serve(settings.model_copy(update={"serving": serving}))


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (one, address):
        assert httpx.get(f"{address}/health").json() == {"up": True}
        one.send_signal(signal.SIGTERM)
        one.wait(20)
        assert one.stderr is not None
        assert "Traceback" not in one.stderr.read()
