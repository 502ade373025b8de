"""One deployment of a language model, complete and checked: what runs where, under which engine and load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

from hetbench.catalog.chips import Chip
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.serving.engines import check_engine
from hetbench.serving.formats import compute_flops, kv_format, weight_format
from hetbench.serving.language import LanguageModel
from hetbench.serving.plan import Plan
from hetbench.serving.settings import Settings, Stage

__all__ = ["OPTIONS", "Deployment", "build", "usual_kv"]

OPTIONS = ("input_len", "output_len", "concurrency", "request_rate", "chips", "parallel", "kv", "speculative")
"""Options of a query that only `phase="serving"` takes."""
_DEFAULTS = {"input_len": 1024, "output_len": 1024, "concurrency": 1}
_MOST = {"input_len": 2**21, "output_len": 2**21, "concurrency": 2**16, "chips": 1024}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment and its load."""

    stage: Stage
    plan: Plan
    engine: str
    software: str
    """What the query named, perhaps with a version; empty where it named nothing."""
    input_len: int
    output_len: int
    concurrency: int
    """Requests in flight."""
    request_rate: float | None = None
    """Requests per second that arrive, where that was given instead of `concurrency`."""
    notes: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """The one point of this deployment."""
        return Settings.of(
            self.stage.chip, [self.plan], [self.input_len], [self.output_len], [self.concurrency]
        )  # fmt: skip


def usual_kv(form: str, engine: str = "") -> str:
    """The format of the KV cache where a query states none: 8-bit beside 8-bit and 4-bit floating point weights, but
    16-bit under llama.cpp."""
    return "fp8" if engine != "llama.cpp" and form in ("fp8", "nvfp4", "mxfp4") else "bf16"


def build(model: LanguageModel, chip: Chip, options: Mapping[str, Any]) -> Deployment:
    """Fill in the defaults of the options and check every entry.

    Raises `InvalidInputError` for an impossible size or plan, `UnknownNameError` for an unknown engine or format,
    `RefusedError` for what no rows teach: speculative decoding, disaggregation, an engine on chips it does not run on.
    """
    _check_answerable(options)
    notes: tuple[str, ...] = ()
    sizes = {name: _size(name, options.get(name), usual) for name, usual in _DEFAULTS.items()}
    missing = [f"{name} {sizes[name]}" for name in sizes if options.get(name) is None]
    rate = _rate(options)
    if missing and not (rate and missing == ["concurrency 1"]):
        notes += (f"not stated, so taken: {', '.join(missing)}",)
    chips = None if options.get("chips") is None else _size("chips", options["chips"], 1)
    plan = Plan.parse(options.get("parallel"), chips)
    stated = options.get("precision")
    given = (model.kept_format or "bf16") if stated is None else stated
    form = weight_format(given)
    if stated is None:
        notes += (f"weights in {form.name}, the format of the checkpoint",)
    stack = "" if options.get("stack") is None else str(options["stack"])
    engine = check_engine(stack, chip)
    kv = kv_format(usual_kv(form.name, engine) if options.get("kv") is None else options["kv"])
    stage = Stage(model, chip, form, kv)
    if options.get("kv") is None and kv != "bf16":
        notes += (f"KV cache in {kv}, as in published deployments in {form.name}; kv= says otherwise",)
    compute = compute_flops(chip, form)[1]
    if compute != form.compute[0]:
        notes += (f"{chip.name} states no peak in {form.compute[0]}: products in {compute}",)
    _check_plan(plan, model)
    return Deployment(
        stage, plan, engine, stack, **sizes, request_rate=rate, notes=notes
    )  # fmt: skip


def _check_answerable(options: Mapping[str, Any]) -> None:
    """Refuse options that are no text where a name is asked, and what no rows teach."""
    for name in ("precision", "stack", "parallel", "kv"):
        if not isinstance(options.get(name), str | None):
            raise InvalidInputError(f"{name}= is a text in the serving phase; given: {shown(options[name])}.")
    speculative = options.get("speculative")
    if speculative is not None and not (isinstance(speculative, bool | str) and not speculative):
        raise RefusedError(
            "speculative decoding is not predicted: its gain is the acceptance rate of the drafts, which depends on "
            "the prompts and which few rows state. Leave speculative= out."
        )
    if "disagg" in str(options.get("parallel")).lower():
        raise RefusedError("prefill and decode on separate chips (disaggregated serving) are not predicted: no rows "
                           "of the link between them were fitted.")  # fmt: skip


def _check_plan(plan: Plan, model: LanguageModel) -> None:
    if plan.ep > 1 and not model.expert_layers:
        raise InvalidInputError(f"{plan}: {model.name} has no experts to spread. Its plans are made of tp, dp and pp.")
    if plan.pp > model.layers:
        raise InvalidInputError(f"{plan}: {model.name} has {model.layers} layers, fewer than stages.")


def _rate(options: Mapping[str, Any]) -> float | None:
    given = options.get("request_rate")
    if given is None:
        return None
    if options.get("concurrency") is not None:
        raise InvalidInputError("concurrency= and request_rate= both state the load; give one of them.")
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1e6:
        raise InvalidInputError(f"request_rate must be requests per second above 0; given: {shown(given)}.")
    return float(given)


def _size(name: str, given: Any, usual: int) -> int:
    if given is None:
        return usual
    try:
        number = index(given)
    except Exception:  # noqa: BLE001 - `__index__` of a caller's object may raise anything
        number = 0
    if isinstance(given, bool) or not 1 <= number <= _MOST[name]:
        raise InvalidInputError(f"{name} must be a whole number from 1 to {_MOST[name]:,}; given: {shown(given)}.")
    return number
