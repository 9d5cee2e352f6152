"""The ontology as Turtle, in the words of SKOS, PROV-O and SOSA, and its check against the SHACL shapes shipped here.

A node is a ``skos:Concept``; what it rests on is one ``sosa:Observation`` of a rate and the spans of frames it was
``prov:wasDerivedFrom``, each a part of an episode. Needs the extra ``[rdf]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from sima2.errors import MissingExtraError
from sima2.records.knowledge import Graph

BASE: Final = "urn:sima2:"
TERMS: Final = BASE + "terms:"
SPANS: Final = 5
"""Spans named of each node, of the smallest episode ids; ``ontology.json`` names more."""
CLASSES: Final[Mapping[str, str]] = {
    "object": "ObjectClass",
    "action": "Action",
    "affordance": "Affordance",
    "reason": "FailureReason",
    "skill": "Skill",
    "fragility": "FragilityNode",
    "recovery": "RecoveryNode",
    "missing_skill": "MissingSkill",
}
"""Type of a node to the name of its class."""


def to_turtle(graph: Graph) -> str:
    """An ontology as Turtle text; the same graph gives the same text.

    Whatever a name from data holds, it is percent-encoded in an IRI and escaped in a literal.

    Raises:
        MissingExtraError: without rdflib.
    """
    try:
        import rdflib
        from rdflib.namespace import PROV, RDF, SKOS, SOSA, XSD
    except ImportError as error:
        raise MissingExtraError("rdflib", "rdf") from error
    terms = rdflib.Namespace(TERMS)
    out = rdflib.Graph()
    for prefix, space in (("skos", SKOS), ("prov", PROV), ("sosa", SOSA), ("sima", terms)):
        out.bind(prefix, space)

    def literal(value: Any) -> Any:
        if isinstance(value, str):
            return rdflib.Literal(_clean(value))
        return rdflib.Literal(value, datatype=XSD.double if isinstance(value, float) else XSD.integer)

    def iri(kind: str, name: str) -> Any:
        return rdflib.URIRef(f"{BASE}{kind}:{_encoded(name)}")

    out.add((terms.ontology, RDF.type, SKOS.ConceptScheme))
    for key, each in sorted(graph.nodes.items()):
        node, seen = iri("node", key), iri("observation", key)
        out.add((node, RDF.type, SKOS.Concept))
        out.add((node, RDF.type, terms[CLASSES[each["type"]]]))
        out.add((node, SKOS.prefLabel, literal(each["name"])))
        out.add((node, SKOS.inScheme, terms.ontology))
        for name in ("object", "action", "reason", "status", "confidence"):
            if name in each:
                out.add((node, terms[name], literal(each[name])))
        if "rationale" in each:
            out.add((node, SKOS.definition, literal(each["rationale"])))
        out.add((seen, RDF.type, SOSA.Observation))
        out.add((seen, SOSA.hasFeatureOfInterest, node))
        out.add((seen, SOSA.observedProperty, terms[f"rate_of_{each['rate_of']}"]))
        out.add((seen, SOSA.hasSimpleResult, literal(each["support"] / each["trials"])))
        for name in ("support", "trials", "low", "high", "episodes"):
            out.add((seen, terms[name], literal(each[name])))
        for episode, (start, end) in list(each["frames"].items())[:SPANS]:
            span, whole = iri("span", f"{episode}/{start}-{end}"), iri("episode", episode)
            out.add((node, PROV.wasDerivedFrom, span))
            out.add((span, RDF.type, PROV.Entity))
            out.add((span, PROV.specializationOf, whole))
            out.add((whole, RDF.type, PROV.Entity))
            out.add((whole, SKOS.notation, literal(episode)))
            if start >= 0:
                out.add((span, terms.startFrame, literal(start)))
                out.add((span, terms.endFrame, literal(end)))
    for a, b, edge in graph.edges:
        out.add((iri("node", a), terms[_encoded(str(edge["type"]))], iri("node", b)))
        out.add((iri("node", a), SKOS.related, iri("node", b)))
    return str(out.serialize(format="turtle"))


def shapes() -> str:
    """The SHACL shapes, as Turtle text."""
    return (files("sima2.knowledge") / "ontology.shacl.ttl").read_text(encoding="utf-8")


def validate(turtle: str) -> list[str]:
    """What is wrong with an ontology, in words; empty where all is well.

    Raises:
        MissingExtraError: without pyshacl.
    """
    try:
        import pyshacl
        import rdflib
        from rdflib.namespace import SH
    except ImportError as error:
        raise MissingExtraError("pyshacl", "rdf") from error
    data = rdflib.Graph().parse(data=turtle, format="turtle")
    rules = rdflib.Graph().parse(data=shapes(), format="turtle")
    conforms, report, _ = pyshacl.validate(data, shacl_graph=rules, advanced=False, inference="none")
    if conforms:
        return []
    found = set()
    for result in report.subjects(rdflib.RDF.type, SH.ValidationResult):
        told = [str(report.value(result, name) or "") for name in (SH.focusNode, SH.resultPath, SH.resultMessage)]
        found.add(": ".join(part for part in told if part))
    return sorted(found)


def _encoded(name: str) -> str:
    return quote(name.encode("utf-8", errors="surrogatepass"), safe="")


def _clean(text: str) -> str:
    """Text that every encoding and parser takes: lone surrogates and control characters are shown by their escapes."""
    shown = "".join(c if c >= " " and c != "\x7f" else repr(c)[1:-1] for c in text)
    return shown.encode("utf-8", errors="backslashreplace").decode("utf-8")
