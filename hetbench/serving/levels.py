"""What deployments share: the keys of the levels of effects, by engine, chip, format, model and version."""

from __future__ import annotations

import re

from hetbench.catalog.chips import Chip

__all__ = ["era", "generation", "kin", "level_keys", "recency", "series"]

_DATED = re.compile(r"(?:(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* )?(20\d\d)(?:-(\d\d))?")
_NUMBERED = re.compile(r"\b0\.(\d+)")
_OWN_KERNELS = ("llama.cpp",)
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def generation(chip: Chip) -> str:
    """The generations of one name of which the die of a chip is one.

    >>> from hetbench.catalog.chips import chip
    >>> generation(chip("nvidia-b300-sxm")), generation(chip("amd-mi300x")), generation(chip("amd-mi355x"))
    ('Blackwell', 'CDNA', 'CDNA')
    """
    return re.sub(r"\d+$", "", chip.die.split(" ")[0]) or chip.family


def era(engine: str, version: str) -> str:
    """A key of engines older than vLLM's second scheduler, the default from 0.8 of March 2025; empty for later ones and
    where no version is known, which counts as the newest.

    >>> era("vllm", "vLLM 0.6.3 (Nov 2024)"), era("vllm", "vllm 0.19.0"), era("sglang", "sglang 2026-01")
    ('vllm | before 2025-04', '', '')
    """
    dated, numbered = _DATED.search(version), _NUMBERED.search(version)
    if dated:
        month = int(dated[3] or (_MONTHS.find(dated[1]) // 3 + 1 if dated[1] else 12))
        old = (int(dated[2]), month) < (2025, 4)
    else:
        old = engine == "vllm" and numbered is not None and int(numbered[1]) < 8
    return f"{engine} | before 2025-04" if old else ""


def kin(engine: str, chip: Chip) -> str:
    """The deployments that share what a generation of chips costs: those of engines whose kernels come from the vendor
    or from each other, apart from those of an engine that writes all of its own.

    >>> from hetbench.catalog.chips import chip
    >>> kin("vllm", chip("amd-mi300x")), kin("sglang", chip("amd-mi300x")), kin("llama.cpp", chip("amd-mi300x"))
    ('CDNA', 'CDNA', 'llama.cpp on CDNA')
    """
    return f"{engine} on {generation(chip)}" if engine in _OWN_KERNELS else generation(chip)


def level_keys(engine: str, chip: Chip, form: str, shape: str, version: str) -> dict[str, str]:
    """Key of every level of effects for one deployment.

    >>> from hetbench.catalog.chips import chip
    >>> level_keys("vllm", chip("amd-mi300x"), "fp8", "", "")["engine_generation"]
    'vllm | CDNA'
    """
    made, old = generation(chip), era(engine, version)
    return {
        "engine": engine, "era": old, "era_generation": old and f"{old} | {made}",
        "era_chip": old and f"{old} | {chip.name}", "generation": kin(engine, chip),
        "die": chip.die if engine not in _OWN_KERNELS else "",
        "engine_generation": f"{engine} | {made}", "engine_chip": f"{engine} | {chip.name}",
        "format": f"{form} | {chip.family}", "model": shape, "release": f"{engine} | {version}",
        "version": f"{engine} | {chip.name} | {version}",
    }  # fmt: skip


def series(engine: str, version: str) -> str:
    """An engine, old versions apart from later ones: what counts as measured of one says little of the other.

    >>> series("vllm", "vLLM 0.6.3 (Nov 2024)"), series("vllm", "vllm 0.19.0")
    ('vllm before 2025-04', 'vllm')
    """
    return era(engine, version).replace(" | ", " ") or engine


def recency(engine: str, version: str) -> tuple[bool, tuple[int, int], tuple[int, ...], str]:
    """A key that sorts versions of an engine: old before new ones, then by month, by number, by name.

    >>> names = ["vLLM (2024)", "vllm 0.9.1", "vllm 0.19.0"]
    >>> sorted(names, key=lambda name: recency("vllm", name))
    ['vLLM (2024)', 'vllm 0.9.1', 'vllm 0.19.0']
    """
    dated = _DATED.search(version)
    month = (int(dated[2]), int(dated[3] or 0)) if dated else (0, 0)
    numbers = tuple(int(each) for each in re.findall(r"\d+", _DATED.sub("", version)))
    return era(engine, version) == "", month, numbers, version
