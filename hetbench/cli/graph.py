"""`hetbench graph`: questions to the knowledge graph from the shell. Exit codes as in `hetbench.cli.app`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hetbench.errors import InvalidInputError
from hetbench.knowledge import RELATIONS, knowledge_graph
from hetbench.knowledge.export import FORMATS

__all__ = ["app", "dim"]

app = typer.Typer(no_args_is_help=True, help="The knowledge graph: what was measured where, and what is like it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def counts(as_json: Json = False) -> None:
    """How many nodes of each kind and edges of each relation there are."""
    found = knowledge_graph().counts()
    lines = [f"{what:<6}{name:<12}{count:>9,}" for what, table in found.items() for name, count in table.items()]
    _print(found, lines, as_json)


@app.command()
def neighbours(
    node: Annotated[str, typer.Argument(help="Such as model:gpt2 or 'op:Linear(k=768,m=128,n=768)@fp32'.")],
    relation: Annotated[str | None, typer.Option(help=f"One of {', '.join(RELATIONS)}.")] = None,
    as_json: Json = False,
) -> None:
    """The edges that begin or end at a node."""
    found = knowledge_graph().neighbours(node, relation)
    lines = []
    for edge in found:
        facts = ", ".join(f"{name} {value}" for name, value in edge.attributes.items())
        lines.append(f"{edge.source} -{edge.relation}-> {edge.target}" + (f" ({facts})" if facts else ""))
        lines += [f"  ref: {ref}" for ref in edge.refs]
    _print([asdict(edge) for edge in found], lines, as_json)


@app.command()
def why(
    model: Annotated[str, typer.Argument(help="A model of `hetbench models`.")],
    target: Annotated[str, typer.Option(help="Chip or family.")],
    source: Annotated[str | None, typer.Option(help="Chip or family to show beside it.")] = None,
    limit: Annotated[int, typer.Option(help="Operators to show, heaviest first.")] = 5,
    as_json: Json = False,
) -> None:
    """What an answer for the model on the chip can rest on: a path for each operator that matters."""
    found = knowledge_graph().why(model, target, source, limit=limit)
    _print(found.to_dict(), found.lines(), as_json)


@app.command()
def nearest(
    op: Annotated[str, typer.Argument(help="A type of `hetbench operators`.")],
    dims: Annotated[list[str], typer.Argument(help="Its dims as name=value, such as m=128 n=3072 k=768.")],
    precision: Annotated[str, typer.Option(help="Precision of the operator.")] = "fp16",
    chip: Annotated[str | None, typer.Option(help="Only what this chip measured.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 5,
    as_json: Json = False,
) -> None:
    """The measured operators most similar to one, and the chips that measured them."""
    found = knowledge_graph().nearest(op, dict(map(dim, dims)), precision, chip=chip, k=k)
    lines = [f"{each.similarity:.6g} {each.node}: {', '.join(each.chips)}" for each in found]
    _print([asdict(each) for each in found], lines or [f"no operator of the class of {op} was measured"], as_json)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write.")],
    format: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}; networkx reads graphml and json.")] = "graphml",
) -> None:
    """Write the whole graph to a file. Neo4j: cypher-shell -u neo4j -p PASSWORD -f FILE."""
    knowledge_graph().export(path, format)


def dim(text: str) -> tuple[str, int]:
    """Name and size of a dim that is written name=value."""
    name, equals, value = text.partition("=")
    if not equals or not value.strip().lstrip("-").isdigit():
        raise InvalidInputError(f"dims are given as name=value with whole numbers, such as m=128; given: {text!r}.")
    return name.strip(), int(value)


def _print(value: Any, lines: list[str], as_json: bool) -> None:
    print(json.dumps(value, indent=2, allow_nan=False) if as_json else "\n".join(lines))
