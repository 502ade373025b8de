"""`hetbench graph`: the knowledge graph of models, operators, chips and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetbench.cli.options import Dims, Json, Model, Operator, at_least, parse_dims
from hetbench.cli.output import print_json
from hetbench.errors import escaped

if TYPE_CHECKING:
    from hetbench.knowledge import KnowledgeGraph

__all__ = ["app"]

PANEL = "Knowledge graph and surrogates"
app = typer.Typer(
    no_args_is_help=True, help="Knowledge graph: measured operators, similar operators, and what each chip supports."
)


@app.command()
def counts(as_json: Json = False) -> None:
    """Print the number of nodes of each kind and of edges of each relation."""
    found = _knowledge_graph().counts()
    lines = [f"{what:<6}{name:<12}{count:>9,}" for what, table in found.items() for name, count in table.items()]
    _print(found, lines, as_json)


@app.command()
def neighbours(
    node: Annotated[
        str, typer.Argument(help="Identifier, such as model:gpt2 or 'op:Linear(k=768,m=128,n=768)@fp32'.")
    ],
    relation: Annotated[
        str | None,
        typer.Option(help="of-family, runs, contains, has-type, supports, sequence, similarity, performance or "
                          "measured-on. Default: all."),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Print the edges that start or end at a node."""
    found = _knowledge_graph().neighbours(node, relation)
    lines = []
    for edge in found:
        facts = ", ".join(f"{name} {value}" for name, value in edge.attributes.items())
        lines.append(f"{edge.source} -{edge.relation}-> {edge.target}" + (f" ({facts})" if facts else ""))
        lines += [f"  ref: {ref}" for ref in edge.refs]
    _print([asdict(edge) for edge in found], lines, as_json)


@app.command()
def why(
    model: Model,
    target: Annotated[str, typer.Option(help="Chip, or chip family for its default chip.")],
    source: Annotated[str | None, typer.Option(help="Second chip or family to compare with. Default: none.")] = None,
    limit: Annotated[int, typer.Option(help="Number of operators to print, the most time-consuming first.")] = 5,
    as_json: Json = False,
) -> None:
    """Print the evidence for a model on a chip: for each important operator, the closest measurement."""
    at_least("--limit", limit, 0)
    found = _knowledge_graph().why(model, target, source, limit=limit)
    _print(found.to_dict(), found.lines(), as_json)


@app.command()
def nearest(
    op: Operator,
    dims: Dims,
    precision: Annotated[str, typer.Option(help="Precision of the operator.")] = "fp16",
    chip: Annotated[str | None, typer.Option(help="Only operators measured on this chip. Default: any chip.")] = None,
    k: Annotated[int, typer.Option("-k", help="Number of operators to print.")] = 5,
    as_json: Json = False,
) -> None:
    """Print the measured operators most similar to a given one, and the chips that measured them."""
    found = _knowledge_graph().nearest(op, parse_dims(dims), precision, chip=chip, k=k)
    lines = [f"{each.similarity:.6g} {each.node}: {', '.join(each.chips)}" for each in found]
    _print([asdict(each) for each in found], lines or [f"no operator of the class of {op} was measured"], as_json)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write.")],
    format: Annotated[str, typer.Option(help="graphml, json or cypher; networkx reads graphml and json.")] = "graphml",
) -> None:
    """Write the whole graph to a file. To import into Neo4j: cypher-shell -u neo4j -p PASSWORD -f FILE."""
    _knowledge_graph().export(path, format)


def _knowledge_graph() -> KnowledgeGraph:
    from hetbench.knowledge import knowledge_graph

    return knowledge_graph()


def _print(value: Any, lines: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        print(escaped("\n".join(lines), keep="\n"))
