"""Versions: what names them, and that they run from their stored bundle."""

import json
import textwrap
from pathlib import Path

import pytest
from pyspark import cloudpickle

from dovetail.shared import project as projects
from dovetail.shared import settings, versions
from dovetail.shared.errors import IntegrityError

VIEWS = """
import dovetail as dv
from steps import doubled

events = dv.source("events", schema="n bigint, at timestamp", event_time="at")
totals = dv.view("totals", source=events, transform=[doubled], keys=["n"], bucket="1h", measures={"rows": dv.count()})
"""
STEPS = """
FACTOR = 2

def doubled(lines):
    return [n * FACTOR for n in lines]
"""


@pytest.fixture
def make(tmp_path):
    def write(*, views=VIEWS, steps=STEPS):
        (tmp_path / "dovetail.toml").write_text('views = ["views.py"]\n')
        (tmp_path / "views.py").write_text(textwrap.dedent(views))
        (tmp_path / "steps.py").write_text(textwrap.dedent(steps))
        import sys

        for name in ("views", "steps"):
            sys.modules.pop(name, None)
        return projects.load(settings.load(tmp_path))

    return write


def version(project):
    return project.version(project.view("totals"))


def test_a_comment_a_docstring_or_a_new_place_leave_the_version_as_it_is(make):
    before = version(make())
    commented = STEPS.replace("    return", '    """Twice."""\n    # a comment\n    return')
    assert version(make(steps=commented)) == before
    assert version(make(views=VIEWS.replace('bucket="1h"', 'bucket="1h", speed=False'))) == before


@pytest.mark.parametrize(
    "change",
    [
        {"steps": STEPS.replace("FACTOR = 2", "FACTOR = 3")},
        {"steps": STEPS.replace("n * FACTOR", "n + FACTOR")},
        {"views": VIEWS.replace("1h", "1d")},
        {"views": VIEWS.replace('keys=["n"]', "keys=[]")},
        {"views": VIEWS.replace("dv.count()", 'dv.count(where="n > 1")')},
        {"views": VIEWS.replace("n bigint,", "n bigint, m int,")},
    ],
    ids=["constant", "code", "bucket", "keys", "measure", "schema"],
)
def test_a_change_of_meaning_makes_another_version(make, change):
    before = version(make())
    assert version(make(**change)) != before


def test_a_stored_version_runs_its_own_code_whatever_the_working_tree_says(make):
    bundle = make().store(make().view("totals"))
    changed = make(steps=STEPS.replace("FACTOR = 2", "FACTOR = 5"))
    newer = changed.store(changed.view("totals"))
    assert versions.load(bundle.folder).view([1]) == [2]
    assert versions.load(newer.folder).view([1]) == [5]


def test_spark_sends_a_stored_version_s_own_code_to_its_workers_whatever_the_working_tree_says(make):
    views = VIEWS.replace(
        "from steps import doubled", "import steps\n\ndef doubled(lines):\n    return steps.doubled(lines)"
    )
    bundle = make(views=views).store(make(views=views).view("totals"))
    make(views=views, steps=STEPS.replace("FACTOR = 2", "FACTOR = 5"))
    (doubled,) = versions.load(bundle.folder).view.transform
    assert cloudpickle.loads(cloudpickle.dumps(doubled))([1]) == [2]


def test_code_that_is_not_what_its_name_says_is_refused(make):
    bundle = make().store(make().view("totals"))
    (bundle.folder / "code" / "steps.py").write_text(STEPS.replace("FACTOR = 2", "FACTOR = 9"))
    with pytest.raises(IntegrityError, match="is not what its name says"):
        _ = versions.load(bundle.folder).view


def test_a_bundle_of_a_newer_format_is_refused(make):
    project = make()
    bundle = project.store(project.view("totals"))
    file = bundle.folder / versions.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": versions.STATE_FORMAT + 1}))
    with pytest.raises(IntegrityError, match="newer than"):
        versions.load(bundle.folder)


def test_a_bundle_is_whole_or_not_there(make, monkeypatch):
    project = make()

    def torn(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(OSError, match="disk full"):
        project.store(project.view("totals"))
    assert not project.layout.version(version(project)).exists()


def test_what_a_bundle_says_of_itself_needs_no_code(make):
    project = make()
    bundle = project.store(project.view("totals"))
    for file in (bundle.folder / "code").iterdir():
        file.unlink()
    read = versions.load(bundle.folder)
    assert (read.keys, read.bucket_seconds, list(read.measures), read.source) == (("n",), 3600, ["rows"], "events")
