"""The models of the catalogue, read from `catalog/models.toml`; needs neither torch nor transformers.

A record has the transformers class and hyper-parameters that rebuild the upstream network without weights, the source
of each figure, and the sizes that a query takes by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hetbench.catalog.toml_tables import read_table
from hetbench.errors import UnknownNameError
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly

__all__ = ["Model", "model", "models"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model: names, how to rebuild it, sources of its figures, and default sizes of a query."""

    name: str
    title: str
    hf_id: str
    """Repository on the Hugging Face hub, with its owner."""
    aliases: tuple[str, ...]
    """Other names of this network, as used by other projects."""
    category: str
    """`llm`, `cv`, `nlp`, `audio` or `multimodal`."""
    task: str
    architecture: str
    """Class of transformers that is built; `note` says where the upstream configuration names another."""
    config_class: str
    config: Mapping[str, Any] = field(hash=False)
    """Keyword arguments of `config_class`; read-only."""
    config_source: str
    """Source of the hyper-parameters: repository@commit:path."""
    config_verified: bool
    """Whether the source states every hyper-parameter of the network; if not, `note` names the others."""
    params: int
    """Parameters of `architecture`, tied weights counted once, buffers not counted."""
    params_source: str
    params_verified: bool
    """Whether `params_source` publishes this count; if not, it is computed from the configuration."""
    licence: str
    """Licence of the weights."""
    licence_source: str
    licence_verified: bool
    phases: tuple[str, ...]
    """Phases it has, of `inference`, `prefill` and `decode`; the first is the default."""
    inputs: str
    """`text`, `image`, `text+text`, `audio-mel`, `audio-wave` or `text+image`."""
    batch: int
    """Default number of samples per call; `seq_len` and `image_size` are defaults too."""
    seq_len: int | None
    """Tokens, or the unit that `note` states; None where the network takes no sequence."""
    max_seq_len: int | None
    """Limit of `seq_len`; None where there is none."""
    image_size: int | None
    """Side of the square input image in pixels; None where the network takes no image."""
    note: str


def models() -> Mapping[str, Model]:
    """All models of the catalogue by name, in catalogue order; read-only.

    >>> len(models()), models()["gpt2"].params
    (34, 124439808)
    """
    return _tables()[0]


def model(name: str) -> Model:
    """The model of a catalogue name, title, Hugging Face id or alias; case does not count.

    Raises `UnknownNameError` with the nearest catalogue names.

    >>> model("bert-base-uncased").name, model("facebook/OPT-1.3b").name, model("vit_base_patch16_224").name
    ('bert-base', 'opt-1.3b', 'vit-base')
    """
    known, names = _tables()
    found = names.get(_normalised(name)) if isinstance(name, str) else None
    if found is None:
        raise UnknownNameError("model", name, known)
    return known[found]


def spellings(record: Model) -> set[str]:
    """All names of `record`, in lower case with hyphens for underscores and spaces.

    >>> sorted(spellings(model("yi-6b")))
    ['01-ai/yi-6b', '01-ai/yi-6b-chat', 'yi-6b', 'yi-6b-chat']
    """
    full = (record.name, record.title, record.hf_id, *record.aliases)
    tails = (hub_id.split("/", 1)[1] for hub_id in (record.hf_id, *record.aliases) if _is_hub_id(hub_id))
    return {_normalised(spelling) for spelling in (*full, *tails)}


def _is_hub_id(text: str) -> bool:
    owner, slash, rest = text.partition("/")
    return bool(slash) and len(rest) > 3 and len(owner) > 1  # not "ViT-L/14"


def _normalised(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


@load_once()
def _tables() -> tuple[Mapping[str, Model], Mapping[str, str]]:
    """Records by name, and catalogue name by normalised spelling."""
    records = {name: _record(name, table) for name, table in read_table("models").items()}
    names = {spelling: name for name, record in records.items() for spelling in spellings(record)}
    return ReadOnly(records), ReadOnly(names)


def _record(name: str, table: Mapping[str, Any]) -> Model:
    given: dict[str, Any] = {"seq_len": None, "max_seq_len": None, "image_size": None, "note": "", **table}
    given["aliases"], given["phases"] = tuple(table["aliases"]), tuple(table["phases"])
    given["config"] = ReadOnly(table["config"])
    return Model(name=name, **given)
