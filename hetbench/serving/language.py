"""What a serving engine must know of a language model: elements of weights that a token uses, and of its KV cache.

The facts are read from a `Decoder`, which `hetbench.graphs.huggingface` makes of a Hugging Face configuration. Norms
and biases are left out: below 0.1 % of the weights of every model here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hetbench.graphs.huggingface.attention import Attention
from hetbench.graphs.huggingface.decoder import Decoder
from hetbench.graphs.huggingface.feedforward import Experts, Mlp
from hetbench.graphs.huggingface.latent import Latent

__all__ = ["FeedForward", "LanguageModel", "Mixing", "language_model"]


@dataclass(frozen=True, slots=True)
class Mixing:
    """The attention of `times` equal layers."""

    times: int
    weights: int
    """Elements of the projections of one layer."""
    query_width: int
    """heads x (width of a key + width of a value): one query-key pair costs 2 x this many flops in prefill."""
    decode_width: int
    """The same in decode; wider for latent attention, which attends to the latent vectors themselves."""
    cached: int
    """Elements of keys and values that one token adds to the cache of one layer."""
    shards: int
    """How many chips can each keep a different part of the cache: the heads of keys and values; 1 for latent."""
    latent: bool = False
    """The cache holds one latent vector a token (DeepSeek)."""
    indexed: int = 0
    """Of `cached`, the elements that an indexer reads of every token to choose those that a query sees."""
    index_width: int = 0
    """Heads x width of the indexer: its flops for a pair, as `query_width` counts them."""
    window: int = 0
    """Tokens that a query sees at most; 0: all."""
    windowed_cache: bool = False
    """Only the tokens of the window are kept (sliding-window layers); a sparse indexer keeps all."""


@dataclass(frozen=True, slots=True)
class FeedForward:
    """The feed-forward part of `times` equal layers."""

    times: int
    dense: int
    """Elements that every token uses: a dense part, or router and shared experts."""
    experts: int = 0
    chosen: int = 0
    """Experts of one token."""
    expert: int = 0
    """Elements of one expert."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model as the serving physics sees it.

    >>> from hetbench.serving import named
    >>> model = named("meta-llama/Meta-Llama-3.1-70B")
    >>> model.layers, model.cached_elements  # 80 layers x (keys + values) x 8 heads x 128
    (80, 163840)
    """

    name: str
    hidden: int
    vocab: int
    tied: bool
    """The output layer uses the weights of the embedding."""
    mixings: tuple[Mixing, ...]
    feeds: tuple[FeedForward, ...]
    kept_format: str = field(default="", compare=False)
    """Weight format of the published checkpoint where it is not bf16, such as fp8."""

    @property
    def shape(self) -> str:
        """A key that copies of one network share: fine-tuned and quantised ones, and later versions of equal layers."""
        return f"{self.layers}x{self.hidden}x{self.params}"

    @property
    def layers(self) -> int:
        """Layers."""
        return sum(each.times for each in self.mixings)

    @property
    def expert_layers(self) -> int:
        """Layers with experts."""
        return sum(each.times for each in self.feeds if each.experts)

    @property
    def dense_weights(self) -> int:
        """Elements that every token of a pass uses, without the output layer."""
        return sum(m.times * m.weights for m in self.mixings) + sum(f.times * f.dense for f in self.feeds)

    @property
    def expert_weights(self) -> int:
        """Elements of all experts."""
        return sum(f.times * f.experts * f.expert for f in self.feeds)

    @property
    def chosen_weights(self) -> int:
        """Elements of the experts of one token."""
        return sum(f.times * f.chosen * f.expert for f in self.feeds)

    @property
    def head(self) -> int:
        """Elements of the output layer."""
        return self.hidden * self.vocab

    @property
    def params(self) -> int:
        """Elements of all matrices."""
        return self.dense_weights + self.expert_weights + self.head * (1 if self.tied else 2)

    @property
    def active_params(self) -> int:
        """Elements that one token uses, the embedding counted as `params` does."""
        return self.params - self.expert_weights + self.chosen_weights

    @property
    def cached_elements(self) -> int:
        """Elements of keys and values that one token adds to the cache of all layers."""
        return sum(m.times * m.cached for m in self.mixings)


def language_model(decoder: Decoder, name: str, kept_format: str = "") -> LanguageModel:
    """The facts of a decoder."""
    hidden = decoder.hidden
    mixings = tuple(_mixing(layer.attention, hidden, times) for layer, times in decoder.layers)
    feeds = tuple(_feed(layer.mlp, hidden, times) for layer, times in decoder.layers)
    return LanguageModel(name, hidden, decoder.vocab, decoder.tied, mixings, feeds, kept_format)


def _mixing(a: Attention | Latent, hidden: int, times: int) -> Mixing:
    if isinstance(a, Attention):
        weights = hidden * (2 * a.wide + 2 * a.narrow)
        return Mixing(times, weights, 2 * a.wide, 2 * a.wide, 2 * a.narrow, a.kv_heads, window=a.window,
                      windowed_cache=a.window > 0)  # fmt: skip
    queries = hidden * a.heads * a.wide if not a.query_rank else a.query_rank * (hidden + a.heads * a.wide)
    keys = hidden * (a.rank + a.rope) + a.rank * a.heads * (a.plain + a.value)
    index = 0
    if a.index_heads:  # queries from the narrow vector, one shared key, one weight a head
        index = (a.query_rank or hidden) * a.index_heads * a.index_dim + hidden * (a.index_dim + a.index_heads)
    return Mixing(
        times, queries + keys + a.heads * a.value * hidden + index, a.heads * (a.wide + a.value),
        a.heads * (2 * a.rank + a.rope), a.rank + a.rope + a.index_dim, 1, True, a.index_dim,
        a.index_heads * a.index_dim, a.index_best,
    )  # fmt: skip


def _feed(part: Mlp | Experts, hidden: int, times: int) -> FeedForward:
    if isinstance(part, Mlp):
        return FeedForward(times, _mlp(part, hidden))
    shared = _mlp(part.shared, hidden) if part.shared else 0
    return FeedForward(
        times, hidden * part.count + shared, part.count, part.chosen, 3 * hidden * part.inner
    )  # fmt: skip


def _mlp(part: Mlp, hidden: int) -> int:
    return (2 if part.kind == "plain" else 3) * hidden * part.inner
