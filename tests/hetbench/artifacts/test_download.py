"""Fetching a set: the whole set or none of it, whatever the server, the network or the archive does."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import numpy as np
import pytest

from hetbench import HetBench
from hetbench.artifacts import Manifest, sets
from hetbench.artifacts.download import download
from hetbench.artifacts.remote import remote
from hetbench.errors import ArtifactError, InvalidInputError
from surrogates.publish.publish import to_archive
from tests.web import Site, serving


@pytest.fixture
def site(published: Path, tmp_path: Path, home: Path) -> Iterator[Site]:
    """A server of a published set that a test may spoil; nothing is installed."""
    shutil.copytree(published, tmp_path / "www" / "set")
    with serving(Site(tmp_path / "www")) as found:
        yield found


@pytest.fixture
def secure(tmp_path: Path) -> SSLContext:
    """A certificate of this machine and of drive.google.com, signed by itself; its file is cert.pem."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not there")
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"))
    names = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:drive.google.com")
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(["openssl", "req", *kind, *files, *names], check=True, capture_output=True)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def installed() -> list[str]:
    return [each.label for each in sets.installed()]


def nothing_is_left_of(home: Path) -> bool:
    """Whether a home holds no set, not even a part that could be taken for one."""
    return not sets.installed() and {path.name for path in home.iterdir()} <= {".partial"}


def names_of(site: Site) -> list[str]:
    return [path.rpartition("/")[2] for path, _ in site.asked]


def same_as_the_package(name: str) -> bool:
    asked = {"model": "resnet-50", "source": "cuda", "target": "cann", "batch": 6}
    return HetBench(artifacts=name).query(**asked).to_dict() == HetBench().query(**asked).to_dict()


def test_a_set_is_fetched_from_a_web_server_and_answers_as_the_package_does(site: Site, home: Path):
    said: list[str] = []
    found = download(f"{site.url}/set", say=said.append)
    assert (found.name, installed()) == ("lab", [found.label])
    assert same_as_the_package("lab")
    assert len(said) == len(Manifest.read(found.folder / "manifest.json").files)
    assert found.source == f"{site.url}/set"
    assert sorted(path.name for path in home.iterdir()) == [".partial", "lab"]
    assert [path.name for path in (home / ".partial").iterdir()] == ["lock"]


def test_a_set_that_is_there_is_not_fetched_again(site: Site):
    first = download(f"{site.url}/set")
    site.asked.clear()
    assert download(f"{site.url}/set") == first
    assert names_of(site) == ["manifest.json"]


def test_a_set_may_be_installed_under_another_name(site: Site):
    assert download(f"{site.url}/set", "mine").name == "mine"
    assert same_as_the_package("mine")


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_an_archive_is_fetched_and_answers_as_the_package_does(suffix: str, site: Site):
    to_archive(sets.EMBEDDED, site.folder / f"set.{suffix}", "lab")
    download(f"{site.url}/set.{suffix}?download=1")
    assert same_as_the_package("lab")


def test_files_of_this_machine_are_taken_by_path_and_by_address(published: Path, home: Path):
    found = download(published.as_uri())
    assert download(str(published)) == found
    assert same_as_the_package(found.label)


def test_a_set_is_fetched_over_https_and_not_from_a_server_that_nobody_vouches_for(
    published: Path, home: Path, secure: SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    site = Site(published)
    site.context = secure
    with serving(site):
        with pytest.raises(ArtifactError, match="certificate verify failed"):
            download(site.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        download(site.url)
    assert same_as_the_package("lab")


def test_google_drive_gives_an_archive_by_its_id(
    home: Path, secure: SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    pytest.importorskip("gdown")
    to_archive(sets.EMBEDDED, tmp_path / "1aB.tar", "lab")
    (tmp_path / "1aB.tar").rename(tmp_path / "1aB-x_9")
    site = Site(tmp_path)
    site.context = secure
    with serving(site, drive=True):
        monkeypatch.setenv("HTTPS_PROXY", site.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        with pytest.raises(ArtifactError, match="Share the file with anyone who has the link"):
            download("gdrive://nothing")
        download("https://drive.google.com/file/d/1aB-x_9/view?usp=sharing")
    assert same_as_the_package("lab")
    assert sets.installed()[0].source == "gdrive://1aB-x_9"


@pytest.mark.parametrize("text", [
    "hf://org", "hf://a/b/c", "gdrive://a/b", "ftp://host/set", "https://", "s3://bucket/set", "file://host/set",
])  # fmt: skip
def test_a_source_that_cannot_be_meant_is_told_what_can(text: str):
    with pytest.raises(InvalidInputError, match=r"a source is one of hf://ORG/NAME\[@REV\], gdrive://ID"):
        remote(text)


def test_plain_http_is_taken_from_this_machine_alone(run: Callable[..., Any]):
    code, _, err = run("download", "--from", "http://example.org/set")
    assert code == 2
    assert "use https" in err


def test_without_a_source_the_command_says_how_to_give_one(
    site: Site, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    monkeypatch.delenv("HETBENCH_ARTIFACTS_URL", raising=False)
    code, _, err = run("download")
    assert code == 2
    assert "--from SOURCE, or set HETBENCH_ARTIFACTS_URL" in err
    monkeypatch.setenv("HETBENCH_ARTIFACTS_URL", f"{site.url}/set")
    code, out, _ = run("download", "--json")
    assert code == 0
    assert json.loads(out)["source"] == f"{site.url}/set"


def test_a_file_that_is_not_what_the_manifest_says_installs_nothing_and_is_fetched_again(site: Site, home: Path):
    path = site.folder / "set" / "gemm.npz"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"its gemm\.npz has \d+ bytes and sha256 \w{64}; its manifest states"):
        download(f"{site.url}/set")
    assert nothing_is_left_of(home)
    path.write_bytes(good)
    site.asked.clear()
    download(f"{site.url}/set")
    assert "conv.npz" not in names_of(site)  # whole since the first attempt
    assert "gemm.npz" in names_of(site)


def test_a_failed_download_leaves_the_installed_version_as_it_was(site: Site, home: Path):
    first = download(f"{site.url}/set")
    card = site.folder / "set" / "README.md"
    card.write_text("# a newer card\n")
    manifest = Manifest.of(site.folder / "set", "lab", "0", "abc")
    (site.folder / "set" / "manifest.json").write_text(manifest.to_json())
    (site.folder / "set" / "vector.npz").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match=r"its vector\.npz has 2 bytes"):
        download(f"{site.url}/set")
    assert installed() == [first.label]
    assert same_as_the_package("lab")


def test_a_truncated_file_installs_nothing(site: Site, home: Path):
    path = site.folder / "set" / "gemm.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match=r"its gemm\.npz has 1000 bytes"):
        download(f"{site.url}/set")
    assert nothing_is_left_of(home)


def test_a_file_longer_than_the_manifest_says_is_not_fetched(site: Site, home: Path):
    path = site.folder / "set" / "gemm.npz"
    stated = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x" * 3_000_000)
    for site.lengths in (True, False):
        with pytest.raises(ArtifactError, match=rf"gemm\.npz exceeds the limit of {stated:,} bytes"):
            download(f"{site.url}/set")
    assert nothing_is_left_of(home)


def test_an_interrupted_transfer_goes_on_where_it_broke_off(site: Site, home: Path):
    site.cut["/set/gemm.npz"] = 700_000
    with pytest.raises(ArtifactError, match=r"was cut off after 700,000 of .* Run the same command again"):
        download(f"{site.url}/set")
    assert nothing_is_left_of(home)
    site.asked.clear()
    download(f"{site.url}/set")
    assert ("/set/gemm.npz", "bytes=700000-") in site.asked
    assert same_as_the_package("lab")


def test_an_interrupted_transfer_starts_again_where_the_server_has_no_ranges(site: Site):
    site.ranges = False
    site.cut["/set/gemm.npz"] = 700_000
    with pytest.raises(ArtifactError, match="was cut off"):
        download(f"{site.url}/set")
    download(f"{site.url}/set")
    assert same_as_the_package("lab")


def test_an_interrupted_archive_that_changed_meanwhile_starts_again(site: Site):
    path = site.folder / "set.tar"
    to_archive(sets.EMBEDDED, path, "old")
    site.cut["/set.tar"] = 700_000
    with pytest.raises(ArtifactError, match="was cut off"):
        download(f"{site.url}/set.tar")
    to_archive(sets.EMBEDDED, path, "new")
    assert download(f"{site.url}/set.tar").name == "new"


def test_a_download_that_is_killed_leaves_nothing_half_written_and_is_gone_on_with(site: Site, home: Path):
    reached, held = threading.Event(), threading.Event()
    site.before = lambda path: (reached.set(), held.wait(20)) if path.endswith("rgat.npz") else None
    command = [sys.executable, "-m", "hetbench", "download", "--from", f"{site.url}/set"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert reached.wait(20)
        process.kill()
    held.set()
    assert nothing_is_left_of(home)
    site.asked.clear()
    download(f"{site.url}/set")
    assert "conv.npz" not in names_of(site)


def test_two_downloads_at_once_install_one_set(site: Site):
    waits, found = threading.Event(), list[sets.Installed]()
    site.before = lambda path: waits.wait(20) if path.endswith("manifest.json") else None

    def fetch() -> None:
        found.append(download(f"{site.url}/set", say=lambda text: waits.set() if text.startswith("waiting") else None))

    both = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert found[0] == found[1]
    assert installed() == [found[0].label]
    assert names_of(site).count("gemm.npz") == 1
    assert same_as_the_package("lab")


def test_without_network_the_command_says_so_and_the_package_goes_on_answering(home: Path, run: Callable[..., Any]):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        code, out, err = run("download", "--from", f"http://127.0.0.1:{closed.getsockname()[1]}/set")
    assert (code, out) == (4, "")
    assert "Connection refused. Check the network. Run the same command again" in err
    assert nothing_is_left_of(home)
    assert run("query", "gpt2", "--target", "cuda", "--metric", "latency")[0] == 0


def test_an_address_without_a_set_is_said(site: Site, run: Callable[..., Any]):
    code, _, err = run("download", "--from", f"{site.url}/elsewhere")
    assert code == 4
    assert "/elsewhere/manifest.json: 404 Not Found. Check the address." in err


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(site: Site):
    site.moved["/set/manifest.json"] = (site.folder / "set" / "manifest.json").as_uri()
    with pytest.raises(ArtifactError, match="cannot fetch"):
        download(f"{site.url}/set")


def test_a_redirect_on_the_same_server_is_followed(site: Site):
    site.moved["/set/gemm.npz"] = "/elsewhere/gemm.npz"
    (site.folder / "elsewhere").mkdir()
    (site.folder / "set" / "gemm.npz").rename(site.folder / "elsewhere" / "gemm.npz")
    download(f"{site.url}/set")
    assert same_as_the_package("lab")


@pytest.mark.parametrize(("name", "field", "why"), [
    ("manifest.json", "schema", r"its manifest\.json has schema 2; this hetbench reads schema 1\. Install the"),
    ("whole.json", "format", r"its whole\.json has format 3; this hetbench reads 2\. Install the"),
])  # fmt: skip
def test_a_set_of_a_newer_version_is_refused_with_what_to_do(name: str, field: str, why: str, site: Site, home: Path):
    path = site.folder / "set" / name
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {field: known[field] + 1}))
    if name != "manifest.json":
        manifest = Manifest.of(site.folder / "set", "lab", "9.9", "abc")
        (site.folder / "set" / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(ArtifactError, match=why):
        download(f"{site.url}/set")
    assert nothing_is_left_of(home)


def tar(path: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as out:
        for member in members:
            member.size = 2 if member.isreg() else 0
            out.addfile(member, io.BytesIO(b"{}"))


def kind(name: str, form: bytes, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = form, link
    return member


@pytest.mark.parametrize(("members", "why"), [
    ([tarfile.TarInfo("../out.json")], "points outside the target folder"),
    ([tarfile.TarInfo("/tmp/out.json")], "points outside the target folder"),
    ([tarfile.TarInfo("set/../../out.json")], "points outside the target folder"),
    ([tarfile.TarInfo("..\\out.json")], "points outside the target folder"),
    ([tarfile.TarInfo("C:out.json")], "points outside the target folder"),
    ([tarfile.TarInfo("a/b/out.json")], "a set is a single folder of plain files"),
    ([tarfile.TarInfo("a/x.json"), tarfile.TarInfo("b/y.json")], "a set is a single folder of plain files"),
    ([tarfile.TarInfo("x.json"), tarfile.TarInfo("x.json")], "twice"),
    ([tarfile.TarInfo(".bashrc")], "no path, leading dot"),
    ([tarfile.TarInfo("run.py")], "of a type that a set may not hold"),
    ([tarfile.TarInfo("model.pkl")], "could run code"),
    ([kind("x.json", tarfile.SYMTYPE, "/etc/passwd")], "a link: only plain files"),
    ([kind("x.json", tarfile.LNKTYPE, "/etc/passwd")], "a link: only plain files"),
    ([kind("x.json", tarfile.FIFOTYPE)], "a device: only plain files"),
    ([kind("x.json", tarfile.CHRTYPE)], "a device: only plain files"),
    ([tarfile.TarInfo(f"{n}.json") for n in range(501)], "beyond the limit of 500 files"),
    ([], "lacks manifest"), ([tarfile.TarInfo("x.json")], "lacks manifest"),
])  # fmt: skip
def test_an_archive_of_anything_but_plain_files_writes_nothing(
    members: list[tarfile.TarInfo], why: str, home: Path, tmp_path: Path
):  # fmt: skip
    tar(tmp_path / "set.tar", *members)
    with pytest.raises(ArtifactError, match=why):
        download(str(tmp_path / "set.tar"))
    assert nothing_is_left_of(home)
    assert not list(tmp_path.rglob("out.json"))
    assert not Path("/tmp/out.json").exists()


@pytest.mark.parametrize(("name", "mode", "why"), [
    ("../out.json", 0, "points outside the target folder"), ("/out.json", 0, "points outside the target folder"),
    ("x.json", 0o120777, "a link"), ("x.json", 0o020666, "a device"), ("x.pkl", 0, "pickles"),
])  # fmt: skip
def test_a_zip_of_anything_but_plain_files_writes_nothing(
    name: str, mode: int, why: str, home: Path, tmp_path: Path
):  # fmt: skip
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as out:
        out.writestr(member, "{}")
    with pytest.raises(ArtifactError, match=why):
        download(str(tmp_path / "set.zip"))
    assert nothing_is_left_of(home)
    assert not list(tmp_path.rglob("out.json"))


def test_an_archive_that_expands_beyond_the_limit_is_not_expanded(home: Path, tmp_path: Path):
    member = tarfile.TarInfo("x.json")
    member.size = 3 * 1024**3
    (tmp_path / "set.tar").write_bytes(member.tobuf() + b"{}")
    with pytest.raises(ArtifactError, match=r"expands to 3,221,225,472 bytes; the limit is 16,777,216"):
        download(str(tmp_path / "set.tar"))


@pytest.mark.parametrize("cut", [0, 100, 5_000_000])
@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_a_truncated_archive_installs_nothing(suffix: str, cut: int, home: Path, tmp_path: Path):
    path = tmp_path / f"set.{suffix}"
    to_archive(sets.EMBEDDED, path, "lab")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="is not installed: "):
        download(str(path))
    assert nothing_is_left_of(home)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def objects(path: Path, trap: Trap) -> None:
    with path.open("wb") as out:
        np.savez(out, x=np.array([trap], dtype=object))


def member(path: Path, trap: Trap) -> None:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("data.pkl", pickle.dumps(trap))


def disguised(path: Path, trap: Trap) -> None:
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize(("name", "write", "why"), [
    ("gemm.npz", objects, "holds Python objects, which are a pickle"), ("gemm.npz", member, "a pickle: an npz holds"),
    ("gemm.npz", disguised, "is a pickle, which can run code"), ("whole.json", disguised, "is a pickle"),
    ("README.md", disguised, "is a pickle"), ("model.onnx", disguised, "is a pickle"),
    ("model.safetensors", disguised, "is a pickle"),
])  # fmt: skip
def test_a_pickle_is_refused_whatever_its_name_and_never_read(
    name: str, write: Callable[[Path, Trap], None], why: str, site: Site, home: Path, tmp_path: Path
):  # fmt: skip
    write(site.folder / "set" / name, Trap(tmp_path / "ran"))
    manifest = Manifest.of(site.folder / "set", "lab", "0", "abc")
    (site.folder / "set" / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(ArtifactError, match=why):
        download(f"{site.url}/set")
    assert nothing_is_left_of(home)
    assert not (tmp_path / "ran").exists()


HEADER = b"\x93NUMPY\x01\x00"


@pytest.mark.parametrize("data", [
    b"", b"PK", b"{}", HEADER, HEADER + b"\x05\x00{'a'(", HEADER + b"\x04\x00 \n(]",
    HEADER + b"\xff\xff" + b"(" * 65535,
    HEADER + b"\x4a\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999,), }".ljust(74),
])  # fmt: skip
def test_an_array_that_is_none_is_said_to_be_none(data: bytes, site: Site):
    with zipfile.ZipFile(site.folder / "set" / "gemm.npz", "w") as out:
        out.writestr("x.npy", data)
    manifest = Manifest.of(site.folder / "set", "lab", "0", "abc")
    (site.folder / "set" / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(ArtifactError, match=r"gemm\.npz does not match its suffix"):
        download(f"{site.url}/set")
