"""Perplexity by HW-GPT-Bench's surrogates: files of their shape, served by this machine, checked, converted, asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hetbench import HetBench
from hetbench.artifacts import hw_gpt_bench, hw_gpt_bench_fetch
from hetbench.artifacts.hw_gpt_bench import Pin
from hetbench.artifacts.torch_weights import weights
from hetbench.cli import main
from hetbench.errors import ArtifactError, RefusedError
from hetbench.spaces import space
from hetbench.spaces.perplexity import one_hot, perplexity

torch = pytest.importorskip("torch")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Say nothing."""


def made(scale: str) -> dict[str, Any]:
    """A state dictionary of the published shape."""
    generator = torch.Generator().manual_seed(ord(scale))
    return {name: torch.randn(size, generator=generator) / 8 for name, size in hw_gpt_bench.shapes(scale).items()}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Mapping[str, Pin]]]:
    """Three files on a local server, and what they must be."""
    served = tmp_path / "served"
    served.mkdir()
    pins = {}
    for scale in "sml":
        path = served / f"perplexity_{scale}.pt"
        torch.save(made(scale), path)
        pins[scale] = Pin(path.stat().st_size, sha256(path.read_bytes()).hexdigest())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HETBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(hw_gpt_bench_fetch.URL, f"http://127.0.0.1:{server.server_port}")
    yield served, pins
    server.shutdown()
    server.server_close()


def test_a_fetched_surrogate_answers_as_the_network_that_was_saved(published: tuple[Path, Mapping[str, Pin]]):
    hw_gpt_bench_fetch.fetch(pins=published[1])
    for scale in "sml":
        found = space(f"gpt-{scale}")
        codes, state = found.sample_codes(21, seed=0), made(scale)
        hidden = torch.from_numpy(one_hot(found, codes))
        for layer in range(1, 6):
            hidden = torch.nn.functional.linear(hidden, state[f"fc{layer}.weight"], state[f"fc{layer}.bias"])
            hidden = hidden if layer == 5 else torch.relu(hidden)
        values = perplexity(found, codes)
        assert values == pytest.approx(hidden[:, 0].double().numpy(), rel=1e-4, abs=1e-5)
        assert [float(perplexity(found, codes[i : i + 1])[0]) for i in range(21)] == values.tolist()


def test_the_answer_says_whose_surrogate_it_is_and_that_it_has_no_interval(published: tuple[Path, Mapping[str, Pin]]):
    hw_gpt_bench_fetch.fetch(pins=published[1])
    api = HetBench(search_space="gpt-s")
    api.set_arch(api.sample_arch(seed=3))
    found = api.query(metric="perplexity")
    assert (found.kind, found.surrogate, found.lower, found.level) == ("predicted", "HW-GPT-Bench", None, None)
    assert found.refs[0] == f"{hw_gpt_bench.REF}/perplexity_s.pt"
    assert "states no interval" in found.notes[0]
    assert api.query_batch([api.sample_arch(seed=3)], metric="perplexity").tolist() == [found.value]
    assert api.query_batch([api.sample_arch(seed=3)], device="cann", metric="perplexity").tolist() == [found.value]


def test_without_the_files_the_refusal_says_what_to_run_and_the_proxy_says_what_it_is(published: object):
    api = HetBench(search_space="gpt-m")
    api.set_arch(api.sample_arch(seed=0))
    with pytest.raises(RefusedError, match="Run: hetbench download --from hw-gpt-bench"):
        api.query(metric="perplexity")
    assert "a function of the number of parameters" in api.query(metric="loss_proxy").notes[0]


def test_a_file_that_is_not_the_published_one_is_not_read_and_nothing_is_kept(
    published: tuple[Path, Mapping[str, Pin]], capsys: pytest.CaptureFixture[str]
):
    (published[0] / "perplexity_s.pt").write_bytes(bytes(hw_gpt_bench.PINS["s"].bytes))
    with pytest.raises(SystemExit) as ended:
        main(["download", "--from", "hw-gpt-bench"])
    assert ended.value.code == 4
    assert "that of HW-GPT-Bench@1f43ee8 has" in capsys.readouterr().err
    assert not hw_gpt_bench.folder().exists()


def test_a_file_of_other_arrays_is_refused(published: tuple[Path, Mapping[str, Pin]]):
    served, pins = published
    (served / "perplexity_s.pt").write_bytes((served / "perplexity_m.pt").read_bytes())
    with pytest.raises(ArtifactError, match="no perplexity surrogate of gpt-s: its arrays differ"):
        hw_gpt_bench_fetch.fetch(pins={**pins, "s": pins["m"]})


def test_the_reader_gives_what_torch_loads(tmp_path: Path):
    torch.save(made("l"), tmp_path / "made.pt")
    found, wanted = weights(tmp_path / "made.pt"), torch.load(tmp_path / "made.pt", weights_only=True)
    assert list(found) == list(wanted)
    assert all((found[name] == wanted[name].numpy()).all() for name in wanted)


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("1/0",)


@pytest.mark.parametrize(("given", "why"), [
    ({"a": Evil()}, "eval, which is not read"),
    ({"a": torch.zeros(2, dtype=torch.float64)}, "names torch.DoubleStorage, which is not read"),
    ({"a": torch.zeros(2, 3).T}, "not contiguous"),
    ({"a": 1}, "no state dictionary"),
    ([torch.zeros(1)], "no state dictionary"),
])  # fmt: skip
def test_nothing_but_plain_tensors_is_read(given: object, why: str, tmp_path: Path):
    torch.save(given, tmp_path / "made.pt")
    with pytest.raises(ArtifactError, match=why):
        weights(tmp_path / "made.pt")


def test_a_file_that_is_no_zip_or_is_cut_off_is_refused(tmp_path: Path):
    torch.save(made("s"), tmp_path / "made.pt")
    whole = (tmp_path / "made.pt").read_bytes()
    for count in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:count])
        with pytest.raises(ArtifactError, match="no checkpoint of plain float32 tensors"):
            weights(tmp_path / "cut.pt")


def test_an_architecture_is_one_hot_as_hw_gpt_bench_writes_it():
    found = space("gpt-s")
    arch = {"embed": 384, "layers": 10, "bias": True, "mlp_ratio": [4] * 10, "heads": [4] * 10}
    row = one_hot(found, found.codes([arch]))[0]
    layer, absent = [0, 0, 1], [0, 0, 0]
    wanted = [0, 1, 0, 1, 0, 0, *layer * 10, *absent * 2, *[1, 0, 0] * 10, *absent * 2, 1, 0]
    assert row.tolist() == wanted
    assert one_hot(found, found.codes([{**arch, "bias": False}]))[0, -2:].tolist() == [0, 1]
