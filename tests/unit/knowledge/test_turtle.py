import sys

import pytest
from test_ontology import evidence, many, primitives, segments_of

from sima2.errors import MissingExtraError
from sima2.knowledge.ontology import OntologyUpdateEngine
from sima2.knowledge.turtle import BASE, TERMS, shapes, to_turtle, validate
from sima2.records.knowledge import Graph


def graph(thing: str = "drawer_a", prefix: str = "e") -> Graph:
    """A fragility with a recovery, one with an open alert, and one that is watched."""
    corpus = many(30, "grasp:gripper_slip~ recovery_maneuver+ approach+ grasp+ pull+", prefix)
    corpus |= many(150, "approach+ grasp+ pull:locked-", prefix + "f") | many(40, "push:collision-", prefix + "g")
    table = primitives(corpus, thing=thing)
    ev = evidence(table, segments_of(table))
    return OntologyUpdateEngine().ontology(ev, OntologyUpdateEngine().propose(ev))


def changed(key_type: str, **values) -> Graph:
    """The graph with one node of a type changed."""
    whole = graph()
    key = next(key for key, node in whole.nodes.items() if node["type"] == key_type)
    return Graph({**whole.nodes, key: {**whole.nodes[key], **values}}, whole.edges)


def less(kind: str) -> Graph:
    """The graph without the edges of a kind."""
    whole = graph()
    return Graph(whole.nodes, tuple(edge for edge in whole.edges if edge[2]["type"] != kind))


def orphaned() -> Graph:
    whole = graph()
    return Graph(whole.nodes, tuple(edge for edge in whole.edges if "affordance:pullable" not in edge[:2]))


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(MissingExtraError, match=r"sima2\[rdf\]"):
        to_turtle(graph())


@pytest.mark.extras
def test_a_real_ontology_satisfies_the_shapes():
    text = to_turtle(graph())
    assert validate(text) == []
    assert text == to_turtle(graph())
    for word in ("skos:Concept", "prov:wasDerivedFrom", "sosa:Observation", "sima:startFrame"):
        assert word in text


@pytest.mark.extras
def test_the_shapes_look_at_every_kind_of_node():
    import rdflib

    found = rdflib.Graph().parse(data=to_turtle(graph()))
    for name in ("FragilityNode", "RecoveryNode", "MissingSkill", "Skill", "Affordance", "ObjectClass"):
        assert list(found.subjects(rdflib.RDF.type, rdflib.URIRef(TERMS + name))), name
    assert {str(o) for o in found.objects(None, rdflib.URIRef(TERMS + "status"))} == {"open", "watching"}
    assert "sh:NodeShape" in shapes()


@pytest.mark.extras
@pytest.mark.parametrize(
    ("broken", "about"),
    [
        (orphaned, "affordance%3Apullable"),
        (lambda: less("fixes"), "a recovery that fixes it"),
        (lambda: less("about"), "an alert that is open or watching"),
        (lambda: changed("missing_skill", status="closed"), "an alert that is open or watching"),
        (lambda: changed("object", frames={}), "an episode that it was derived from"),
        (lambda: changed("skill", confidence=1.2), "one confidence in [0, 1]"),
        (lambda: changed("skill", confidence=-0.1), "one confidence in [0, 1]"),
        (lambda: changed("fragility", support=0), "at least one occurrence"),
        (lambda: changed("fragility", trials=1), "more often than it could"),
    ],
)
def test_each_broken_ontology_is_refused_for_its_own_reason(broken, about):
    assert any(about in problem for problem in validate(to_turtle(broken())))


@pytest.mark.extras
@pytest.mark.parametrize(
    "name", ['a"b\\c', "x> . <urn:evil> a <urn:y", "new\nline\ttab\x00", "\ud800", "ünï 漢字", "%2F../"]
)
def test_text_from_data_becomes_neither_syntax_nor_structure(name):
    import rdflib

    text = to_turtle(graph(thing=name, prefix=name))
    assert validate(text) == []
    plain = rdflib.Graph().parse(data=to_turtle(graph()))
    found = rdflib.Graph().parse(data=text)
    assert len(found) == len(plain)
    iris = {str(term) for triple in found for term in triple if isinstance(term, rdflib.URIRef)}
    assert not [iri for iri in iris if not iri.startswith((BASE, "http://www.w3.org/"))]
