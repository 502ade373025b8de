"""The methods of `HetBench` that are about whole models: one question, or a table of them."""

from __future__ import annotations

from os.path import exists
from pathlib import Path
from typing import Any, Unpack, overload

from hetbench.answers import Answer, Answers
from hetbench.metrics import MetricName
from hetbench.query import tables
from hetbench.query.ask import Request, ask
from hetbench.query.columns import Table
from hetbench.query.question import Options
from hetbench.query.session import Session
from hetbench.query.spelled import spelled_out

__all__ = ["ModelQueries"]

Names = list[str] | tuple[str, ...] | set[str] | frozenset[str]
"""Several metrics or devices."""
_MOST_KEPT = 16_384
"""Answers kept before the store starts afresh."""


class ModelQueries:
    """Part of `HetBench`: queries about models."""

    _session: Session

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[tuple[Any, ...], Any] = {}

    @overload
    def query(
        self, model: None = None, source: str | None = None, target: str | None = None,
        metric: Names | MetricName | str | None = None, *, device: Names | str | None = None,
        source_value: float | None = None, **options: Unpack[Options],
    ) -> Any: ...  # fmt: skip

    @overload
    def query(
        self, model: object, source: str | None = None, target: str | None = None, metric: None = None, *,
        device: str | None = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Answers: ...  # fmt: skip

    @overload
    def query(
        self, model: object, source: str | None = None, target: str | None = None, *, metric: MetricName | str,
        device: str | None = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Answer: ...  # fmt: skip

    @overload
    def query(
        self, model: object, source: str | None, target: str | None, metric: MetricName | str, *,
        device: str | None = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Answer: ...  # fmt: skip

    @overload
    def query(
        self, model: object, source: str | None = None, target: str | None = None, *, metric: Names,
        device: str | None = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Answers: ...  # fmt: skip

    @overload
    def query(
        self, model: object, source: str | None = None, target: str | None = None,
        metric: Names | MetricName | str | None = None, *, device: Names | str | None = None,
        source_value: float | None = None, **options: Unpack[Options],
    ) -> Any: ...  # fmt: skip

    @spelled_out(Options)
    def query(
        self, model: Any = None, source: str | None = None, target: str | None = None, metric: Any = None, *,
        device: Any = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """One metric, or all of them, of a model on a chip.

        A published row of exactly this setting is the answer where there is one; else the surrogates predict, and
        where nothing supports a prediction the question is refused.

        Args:
            model: name of a network, as the catalogue, timm, torchvision or Hugging Face write it; a Hugging Face
                configuration as a mapping or as the path of its `config.json`; the path of an ONNX file; or what
                `trace` returned. Left out, the model of `set_model` or `set_arch`.
            source: chip to compare with. The answer then has `source`, the same question there, and `ratio`, value /
                source value. Both sides are published rows or both are predicted, so that the ratio compares like
                with like.
            target: chip to answer for: name, alias, or family (`cuda`, `rocm`, `oneapi`, `cann`, `mlu`), which means
                the default chip of the family.
            metric: latency (ms), throughput (1/s), energy (J), power (W), memory (MB), flops, params, coverage (%),
                or a list of them; left out, all.
            device: the same as `target`, or a list of chips.
            source_value: latency or throughput that you measured on `source`; corrects the prediction for the target
                by the exponent fitted in `hetbench.predict.transfer`.
            **options: `batch`, `seq_len` (tokens), `image_size` (pixels); `precision` (fp32, fp16, bf16, int8, ...;
                left out, fp16 where every chip involved has it, else fp32); `phase` (inference, prefill, decode);
                `stack` (eager, compiled, tensorrt, ...; left out, the usual one of the chip); `predictor` (auto,
                autogluon, rgat, roofline); `confidence` (0.5 to 0.98, default 0.9) of the interval; `dims`, the
                free sizes of an ONNX file by their names there.

        Returns:
            With one metric an `Answer`; without a metric `Answers`, by metric, whose `refused` says why the others
            are missing. A list of devices or of metrics gives `Answers` by device or metric, with those refused; lists
            of both, a mapping of metric to `Answers`. An architecture of `set_arch` without a device is asked on the
            default chip of all five families.

        Raises:
            UnknownNameError: unknown model, chip, metric, precision, phase or predictor; gives the nearest names.
            InvalidInputError: no chip for a metric that needs one, or an impossible size.
            RefusedError: no evidence supports an answer; the message says what is known instead.

        >>> from hetbench import HetBench
        >>> api = HetBench()
        >>> api.query("gpt2", metric="memory", seq_len=128, precision="fp32").unit
        'MB'
        >>> answer = api.query("resnet-50", source="cuda", target="cann", metric="latency", precision="fp16")
        >>> answer.chip, answer.source.chip, answer.ratio == answer.value / answer.source.value
        ('huawei-ascend-910b3', 'nvidia-a100-sxm4-80gb', True)
        """
        answers = self._kept  # replaced when the state changes, so that an answer in flight is not kept beyond that
        model = self._session.model if model is None else model
        kinds = map(type, (source_value, *options.values()))  # True and 1.0 equal 1 as keys, and are no sizes
        try:
            key = (model, source, target, metric, device, source_value, *options.items(), *kinds)
            kept = answers.get(key)
        except TypeError:  # a list of devices cannot be a key; each of them can
            return self._ask(Request(model, source, target, metric, device, source_value, options))
        if kept is None:
            kept = self._ask(Request(model, source, target, metric, device, source_value, options))
            if len(answers) >= _MOST_KEPT:
                answers.clear()
            if not _is_file(model):  # a file may change
                answers[key] = kept
        return kept

    def query_models(self, table: Table) -> dict[str, Any]:
        """Answers to many questions about models, one a row.

        Args:
            table: a data frame of any library, an Arrow table, a list of dictionaries, or columns of equal length
                [rows]: `model`, `chip`, and optionally `precision`, `batch`, `seq_len`, `image_size`, `phase`, `stack`
                or `software`, and `metric` (default latency). A missing cell (None, NaN or "") takes the default; cells
                may be as published tables write them ("vLLM 0.9.2", "amp_fp16", "224x224").

        Returns:
            Columns [rows]: `value`, `lower`, `upper` in the unit of each row's metric, `level`, `reason`, and `note`. A
            row that cannot be answered has NaN and a reason; the others have an empty reason, and a note where the
            answer is for another stack than the software of the row.

        Raises:
            InvalidInputError: the table lacks a column or its columns differ in length.

        >>> from hetbench import HetBench
        >>> table = {"model": ["gpt2", "gpt3"], "chip": ["cuda", "mlu"], "metric": ["params"] * 2}
        >>> found = HetBench().query_models(table)
        >>> float(found["value"][0]), str(found["reason"][1]).split(".")[0]
        (124439808.0, "unknown model 'gpt3'")
        """
        return tables.answer_models(table, self.query)

    def set_model(self, model: Any) -> None:
        """Set the model that a query means when it names none.

        Args:
            model: as in `query`.

        Raises:
            UnknownNameError: unknown model; gives the nearest names.

        >>> from hetbench import HetBench
        >>> api = HetBench()
        >>> api.set_model("gpt2")
        >>> api.query(metric="params").value
        124439808.0
        """
        self._session.graph(model)
        self._session.model = model

    def _ask(self, request: Request) -> Any:
        return ask(request, self._session, self._query_again)

    def _query_again(self, request: Request) -> Any:
        """One of the single requests that a list stands for, through the store of answers."""
        return self.query(
            request.model, request.source, request.target, request.metric, device=request.device,
            source_value=request.source_value, **request.options,
        )  # fmt: skip


def _is_file(model: Any) -> bool:
    """Whether a model is named by an existing file; only what has a dot or a slash is looked for."""
    return isinstance(model, Path) or (isinstance(model, str) and ("." in model or "/" in model) and exists(model))
