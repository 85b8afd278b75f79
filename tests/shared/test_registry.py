"""What a schema registry says of an id, asked over HTTP of a double of it; and what is kept of that."""

from __future__ import annotations

import threading

import pytest
from registry_double import RegistryDouble

from dovetail.shared import registry as seam
from dovetail.shared.errors import ServiceMissing, SettingsError
from dovetail.shared.kept_schemas import KeptSchemas, Known
from dovetail.shared.registry import Registry, Schema, session_conf


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(seam, "WAITS", (0.0, 0.0))


@pytest.fixture
def double():
    with RegistryDouble().served() as served:
        yield served


def test_a_registry_double_tells_a_schema_after_those_it_refers_to(double):
    double.versions["shop.Money/2"] = {"schema": '"money"'}
    double.register(7, "order", references=[{"name": "shop.Money", "subject": "shop.Money", "version": 2}])
    double.register(8, "proto", schemaType="PROTOBUF")
    assert Registry(double.address).schema(7) == Schema("AVRO", ('"money"', "order"))
    assert Registry(double.address).schema(8) == Schema("PROTOBUF", ("proto",))


def test_only_a_registry_double_that_says_so_does_not_know_an_id(double):
    assert Registry(double.address).schema(9) is None
    for stray in [(404, b"<html>no such page"), (404, b'{"error_code": 404}'), (200, b"{}"), (500, b"")]:
        double.stray = stray
        with pytest.raises(ServiceMissing, match="does not say what a record was written with") as caught:
            Registry(double.address).schema(9)
        assert caught.value.where == double.address
        assert "nothing is lost" in caught.value.next


def test_where_no_registry_listens_the_error_names_the_address():
    with pytest.raises(ServiceMissing) as caught:
        Registry("http://127.0.0.1:9").schema(1)
    assert caught.value.where == "http://127.0.0.1:9"


def test_a_registry_double_that_wants_a_password_says_where_it_is_set(double):
    double.password = "x"
    double.register(7, "order")
    with pytest.raises(SettingsError, match="does not let us in") as caught:
        Registry(double.address).schema(7)
    assert "[registry]" in caught.value.next
    assert Registry(double.address, "me", "x").schema(7) == Schema("AVRO", ("order",))


def test_a_session_is_told_of_a_password_by_reference_only(tmp_path):
    told = session_conf("/data", tmp_path, user="me", password="env:SECRET")
    assert told["spark.dovetail.registry.password"] == "env:SECRET"


SOME = Schema("AVRO", ("x",))


class Asked(list):
    """Answers from a dict, and remembers what it was asked."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    def __call__(self, number):
        self.append(number)
        return self.known.get(number)


def kept(folder, decoder="d1", registry="http://r"):
    return KeptSchemas(folder / "schemas", registry, decoder)


def test_a_schema_is_asked_for_once_and_kept_for_good(tmp_path):
    ask = Asked({1: SOME})
    assert kept(tmp_path).settled({1: {0: 5}}, ask).schemas == {1: SOME}
    assert kept(tmp_path, decoder="d2").settled({1: {0: 900}}, ask).schemas == {1: SOME}
    assert ask == [1]


def test_of_another_registry_an_id_means_another_schema(tmp_path):
    kept(tmp_path).settled({1: {0: 5}}, Asked({1: SOME}))
    other = Schema("AVRO", ("y",))
    assert kept(tmp_path, registry="http://s").settled({1: {0: 5}}, Asked({1: other})).schemas == {1: other}


def test_an_unknown_id_stays_unknown_below_where_it_was_asked_and_is_asked_again_above(tmp_path):
    assert kept(tmp_path).settled({7: {0: 5, 1: 2}}, Asked({})).unknown == {7: {0: 6, 1: 3}}
    later = Asked({7: SOME})
    assert kept(tmp_path).settled({7: {0: 5}}, later) == Known({}, {7: {0: 6, 1: 3}})
    assert later == []
    assert kept(tmp_path).settled({7: {0: 6}}, later) == Known({7: SOME}, {7: {0: 6, 1: 3}})


def test_who_decodes_otherwise_asks_again_for_what_was_unknown(tmp_path):
    kept(tmp_path).settled({7: {0: 5}}, Asked({}))
    assert kept(tmp_path, decoder="attempt 2").settled({7: {0: 5}}, Asked({7: SOME})) == Known({7: SOME}, {})


def test_while_the_registry_does_not_answer_nothing_is_kept(tmp_path):
    def down(_):
        raise ServiceMissing("down")

    with pytest.raises(ServiceMissing):
        kept(tmp_path).settled({7: {0: 5}}, down)
    assert kept(tmp_path).settled({7: {0: 5}}, Asked({7: SOME})).schemas == {7: SOME}


def test_who_was_faster_to_find_an_id_unknown_is_believed(tmp_path):
    def slow(number):
        """Registered while it was asked; another process was told before that it is unknown."""
        other = threading.Thread(target=kept(tmp_path).settled, args=({number: {0: 5}}, Asked({})))
        other.start()
        other.join()
        return SOME

    assert kept(tmp_path).settled({7: {0: 5}}, slow) == Known({}, {7: {0: 6}})
