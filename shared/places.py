"""Where a storage root is: a folder of this machine, or a prefix of an object store that is handled as a folder is.

Every path under a root goes the same ways: `root / "a"`, `exists`, `glob`, `read_bytes`. What differs is here. How the
store is reached (keys, region, endpoint) is for the variables and files of AWS's own tools, which delta-rs, Arrow,
Spark and s3fs all read: nothing of it stands in a project.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from dovetail.shared.errors import ServiceMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?")
"""A bucket and a prefix in it."""


def place(root: str) -> Path:
    """The root of an object store, as a path.

    Raises:
        UsageError: what reads object stores is not installed.
    """
    try:
        from upath import UPath
    except ImportError:
        raise UsageError(f"{root} needs s3fs", next="pip install 'dovetail[s3]'") from None
    allow_http()
    # Listings that are kept would hide what other processes write.
    return cast(Path, UPath(root.rstrip("/"), use_listings_cache=False))


def rooted(root: str) -> Path:
    """A root as a path: of an object store, or a folder of this machine."""
    return place(root) if S3.fullmatch(root) else Path(root)


def is_remote(path: Path) -> bool:
    """Whether a path is in an object store."""
    return not isinstance(path, Path)


def allow_http() -> None:
    """delta-rs asks for it in so many words where the endpoint is a plain one, as that of a store on loopback is."""
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        os.environ.setdefault("AWS_ALLOW_HTTP", "true")


def put(path: Path, content: bytes) -> None:
    """Puts a file in the place of the one that is there; a reader sees one of the two, whole."""
    if is_remote(path):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}-{os.getpid()}")
    half.write_bytes(content)
    half.rename(path)


def delete(folder: Path) -> None:
    """Deletes a folder with all that is in it; nothing where there is none. Raises OSError where it cannot."""
    if not folder.exists():
        return
    if is_remote(folder):
        _store(folder).rm(_name(folder), recursive=True)
    else:
        shutil.rmtree(folder)


def copy(folder: Path, to: Path) -> None:
    """Copies a folder with all that is in it; nothing under `to` is there before."""
    if is_remote(folder):
        for file in (f for f in folder.rglob("*") if f.is_file()):
            _store(folder).cp_file(_name(file), _name(to / str(file.relative_to(folder))))
    else:
        shutil.copytree(folder, to, copy_function=_linked)


def size(folder: Path) -> int:
    """The bytes of all files in a folder."""
    if is_remote(folder):
        return int(_store(folder).du(_name(folder))) if folder.exists() else 0
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def new_folder(folder: Path, files: Mapping[str, bytes], last: tuple[str, bytes]) -> Iterator[None]:
    """Writes a folder, whole or not at all: it is there once its `last` file is. The block runs just before it is.

    Where another process makes the same folder meanwhile, it stays as that one made it.
    """
    half = folder if is_remote(folder) else folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    for name, content in files.items():
        _write(half / name, content)
    if is_remote(folder):
        yield
        _write(folder / last[0], last[1])
        return
    _write(half / last[0], last[1])
    yield
    try:
        half.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(half)
        if not (folder / last[0]).exists():
            raise


def fetched(folder: Path) -> Path:
    """A folder of files that never change as one of this machine: itself, or a copy that ends with this process."""
    if not is_remote(folder):
        return folder
    if str(folder) not in _fetched:
        local = Path(_room().name) / uuid.uuid4().hex
        for file in (f for f in folder.rglob("*") if f.is_file()):
            _write(local / str(file.relative_to(folder)), file.read_bytes())
        _fetched[str(folder)] = local
    return _fetched[str(folder)]


def opened(path: Path | str) -> Path | pa.NativeFile:
    """What Arrow reads a Parquet file from, given its path or its URI as Delta names it."""
    if isinstance(path, str):
        path = cast(Path, unquote(path)) if "://" in path else Path(unquote(path))
    text = str(path)
    if not text.startswith("s3://"):
        return path
    from pyarrow import fs

    store, name = fs.FileSystem.from_uri(text)
    return store.open_input_file(name)


def together(paths: Sequence[Path]) -> tuple[fs.FileSystem | None, list[str]]:
    """Files of one folder as Arrow reads several at once: what they are in, None for this machine, and their names."""
    names = [str(path) for path in paths]
    if not is_remote(paths[0]):
        return None, names
    from pyarrow import fs

    store, _ = fs.FileSystem.from_uri(names[0])
    return store, [name.removeprefix("s3://") for name in names]


def refuse_unconditional(root: Path) -> None:
    """Raises ServiceMissing where a store lets a second writer write over what the first has just written.

    Ledger and manifests go by that: each entry is made only where there is none of its name yet.
    """
    probe = root / f".probe-{uuid.uuid4().hex}"
    store, name = _store(probe), _name(probe)
    try:
        store.pipe_file(name, b"1", mode="create")
        try:
            store.pipe_file(name, b"2", mode="create")
        except FileExistsError:
            return
        finally:
            store.rm_file(name)
    except Exception as error:
        raise ServiceMissing(
            f"{root} cannot be written", where="storage.root in dovetail.toml", why=str(error).partition("\n")[0],
            next="AWS_ENDPOINT_URL, AWS_REGION and the keys say how it is reached; the bucket must be there",
        ) from error  # fmt: skip
    raise ServiceMissing(
        f"{root} has no conditional writes",
        where="storage.root in dovetail.toml",
        why="it wrote over an object that If-None-Match said must not be there: two writers would lose one's commits",
        next="use a store that keeps If-None-Match: S3 does, and MinIO, Ceph and R2 of today",
    )


def spark_conf(root: Path) -> dict[str, str]:
    """How Spark reaches the store, by the same variables."""
    if not is_remote(root):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    s3a = "spark.hadoop.fs.s3a"
    return {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        f"{s3a}.change.detection.mode": "none",
        **({f"{s3a}.endpoint.region": region} if region else {}),
        **(
            {
                f"{s3a}.endpoint": endpoint,
                f"{s3a}.path.style.access": "true",
                f"{s3a}.connection.ssl.enabled": str(urlsplit(endpoint).scheme == "https").lower(),
            }
            if endpoint
            else {}
        ),
    }


_fetched: dict[str, Path] = {}


@cache
def _room() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="dovetail-")


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _store(path: Path) -> Any:
    return path.fs  # type: ignore[attr-defined]


def _name(path: Path) -> str:
    return str(path.path)  # type: ignore[attr-defined]


def _linked(file: str, to: str) -> None:
    """The same bytes under a second name: what is copied is written once. Copied where they cannot be linked."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copyfile(file, Path(to))
