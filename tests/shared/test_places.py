"""Folders of this machine, handled as those of an object store are; tests/s3 has these."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.shared import places


def test_a_folder_that_cannot_be_deleted_is_told_and_one_that_is_not_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **given: object) -> None:
        if not given.get("ignore_errors"):
            raise PermissionError("not yours")

    monkeypatch.setattr(places.shutil, "rmtree", refused)  # type: ignore[attr-defined]
    places.delete(tmp_path / "none")
    with pytest.raises(PermissionError, match="not yours"):
        places.delete(tmp_path)
