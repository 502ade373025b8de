"""Export of the knowledge graph: GraphML, node-link JSON, Cypher, or a networkx graph in memory.

    json     networkx.node_link_graph(json.load(open("moh.json")), edges="edges")
    graphml  networkx.read_graphml("moh.graphml"); Gephi, yEd and igraph read it too
    cypher   cypher-shell -u neo4j -p PASSWORD -f moh.cypher loads it into an empty database of Neo4j 5

Nodes and edges are streamed, so that memory does not grow with the graph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hetbench.checks import known_name
from hetbench.errors import InvalidInputError

if TYPE_CHECKING:
    from hetbench.knowledge.graph import Edge, KnowledgeGraph, Node

__all__ = ["FORMATS", "to_networkx", "write"]

_BATCH = 500  # rows of one Cypher statement
_XML_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def write(graph: KnowledgeGraph, path: Path, format: str) -> None:
    """Write the whole graph to a file in one of `FORMATS`.

    Raises `UnknownNameError` for another format, `InvalidInputError` where the file cannot be written.
    """
    known_name("format", format, FORMATS)
    try:
        with path.open("w", encoding="utf-8") as file:
            FORMATS[format](graph, file)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise InvalidInputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def to_networkx(graph: KnowledgeGraph) -> Any:
    """The graph as a `networkx.MultiDiGraph` with the attributes of nodes and edges; needs networkx."""
    try:
        import networkx
    except ImportError:
        raise InvalidInputError("to_networkx needs networkx. Run: pip install networkx") from None
    made = networkx.MultiDiGraph()
    made.add_nodes_from((node.id, _node_facts(node)) for node in graph.nodes())
    made.add_edges_from((edge.source, edge.target, _edge_facts(edge)) for edge in graph.edges())
    return made


def _node_facts(node: Node) -> dict[str, Any]:
    return {"label": node.kind, **node.attributes}


def _edge_facts(edge: Edge) -> dict[str, Any]:
    """Attributes of an edge; the references are joined into one text, since GraphML has no lists."""
    refs = {"refs": "; ".join(edge.refs)} if edge.refs else {}
    return {"relation": edge.relation, **edge.attributes, **refs}


def _write_json(graph: KnowledgeGraph, file: TextIO) -> None:
    nodes = ({"id": node.id, **_node_facts(node)} for node in graph.nodes())
    edges = ({"source": edge.source, "target": edge.target, **_edge_facts(edge)} for edge in graph.edges())
    file.write('{"directed": true, "multigraph": true, "graph": {},\n"nodes": [\n')
    _write_rows(file, nodes)
    file.write('],\n"edges": [\n')
    _write_rows(file, edges)
    file.write("]}\n")


def _write_rows(file: TextIO, rows: Iterable[dict[str, Any]]) -> None:
    for index, row in enumerate(rows):
        file.write(f"{',' if index else ''}{json.dumps(row, allow_nan=False)}\n")


def _write_graphml(graph: KnowledgeGraph, file: TextIO) -> None:
    keys = _xml_keys("node", map(_node_facts, graph.nodes())) | _xml_keys("edge", map(_edge_facts, graph.edges()))
    file.write('<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
    for (domain, name), (key, type_name) in keys.items():
        file.write(f'<key id="{key}" for="{domain}" attr.name="{name}" attr.type="{type_name}"/>\n')
    file.write('<graph edgedefault="directed">\n')
    for node in graph.nodes():
        file.write(f"<node id={_attribute(node.id)}>{_xml_data(keys, 'node', _node_facts(node))}</node>\n")
    for number, edge in enumerate(graph.edges()):
        ends = f"source={_attribute(edge.source)} target={_attribute(edge.target)}"
        file.write(f'<edge id="{number}" {ends}>{_xml_data(keys, "edge", _edge_facts(edge))}</edge>\n')
    file.write("</graph>\n</graphml>\n")


_Keys = dict[tuple[str, str], tuple[str, str]]


def _xml_keys(domain: str, rows: Iterable[dict[str, Any]]) -> _Keys:
    """(domain, attribute) -> key and type; an attribute with both int and float values is a double."""
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            types.setdefault(name, set()).add(type(value))
    found: _Keys = {}
    for name, seen in types.items():
        kind = seen.pop() if len(seen) == 1 else float if seen <= {int, float} else str
        found[domain, name] = (f"{domain}-{name}", _XML_TYPES[kind])
    return found


def _attribute(text: str) -> str:
    """A quoted XML attribute; line breaks and tabs, which parsers fold, are written as references."""
    return f'"{escape(text)}"'.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")


def _xml_data(keys: _Keys, domain: str, facts: dict[str, Any]) -> str:
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in facts.items()}
    return "".join(
        f'<data key="{keys[domain, name][0]}">{escape(text, quote=False)}</data>' for name, text in texts.items()
    )


def _write_cypher(graph: KnowledgeGraph, file: TextIO) -> None:
    """The constraint and the nodes come first, since edges look up their ends by id."""
    file.write("CREATE CONSTRAINT moh_id IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE;\n")
    for kind, nodes in _runs(graph.nodes(), lambda node: node.kind):
        rows = ",\n".join(_literal({"id": node.id, **node.attributes}) for node in nodes)
        file.write(f"UNWIND [\n{rows}\n] AS row CREATE (n:Entity:{kind.capitalize()}) SET n = row;\n")
    for relation, edges in _runs(graph.edges(), lambda edge: edge.relation):
        rows = ",\n".join(
            f"{{source: {_literal(edge.source)}, target: {_literal(edge.target)}, "
            f"facts: {_literal({**edge.attributes, **({'refs': list(edge.refs)} if edge.refs else {})})}}}"
            for edge in edges
        )
        name = relation.upper().replace("-", "_")
        file.write(
            f"UNWIND [\n{rows}\n] AS row MATCH (a:Entity {{id: row.source}}), (b:Entity {{id: row.target}}) "
            f"CREATE (a)-[r:{name}]->(b) SET r = row.facts;\n"
        )


def _runs(rows: Iterable[Any], kind_of: Callable[[Any], str]) -> Iterator[tuple[str, list[Any]]]:
    """Rows in batches of one kind each, so that a statement has one label."""
    pending = iter(rows)
    while batch := list(islice(pending, _BATCH)):
        kinds = dict.fromkeys(map(kind_of, batch))
        yield from ((kind, [row for row in batch if kind_of(row) == kind]) for kind in kinds)


def _literal(value: Any) -> str:
    """A Cypher literal; text is quoted as in JSON, whose escapes Cypher understands."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, allow_nan=False)


FORMATS: dict[str, Callable[[KnowledgeGraph, TextIO], None]] = {
    "graphml": _write_graphml, "json": _write_json, "cypher": _write_cypher,
}  # fmt: skip
