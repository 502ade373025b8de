"""Publish a set of surrogates for `hetbench download`: files, model card and manifest, atomically.

    python -m surrogates.publish --repo ORG/NAME [--private] [--revision BRANCH]   # pip install "hetbench[download]"
    python -m surrogates.publish --to DIR          # a folder for a web server or a shared disk
    python -m surrogates.publish --to FILE.tar     # or FILE.zip: one file, such as Google Drive shares

The set is the one in the package, or the folder of `--from`. Before the upload it is checked to be complete, with its
cards, and to have no file that can run code. The hub gets one commit, tagged with the version of the set; the token is
that of `hf auth login` or HF_TOKEN.
"""

from __future__ import annotations

import argparse
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO

from hetbench.artifacts import (
    MANIFEST,
    ORIGIN,
    PACKAGED,
    Manifest,
    check_complete,
    folder_of,
    replacing,
    staged,
    verify,
)
from hetbench.artifacts.file_types import check_file
from hetbench.artifacts.manifest import set_name
from hetbench.artifacts.remote import first_lines, library, remote
from hetbench.errors import ArtifactError, exit_code
from hetbench.version import __version__
from surrogates.provenance import commit
from surrogates.publish.model_card import model_card
from surrogates.publish.report import NAMES

CARD = "README.md"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same files give the same archive


def build(origin: Path, out: Path, name: str, source: str = "SOURCE  # the https:// address of this set") -> Manifest:
    """Copy a set to an empty folder, with model card and manifest; `ArtifactError` if it is incomplete or unsafe."""
    check_complete(origin)
    for card in NAMES:
        if not (origin / f"{card}.json").exists():
            raise ArtifactError(f"{origin} lacks {card}.json: a set is published with its evaluation, or not at all.")
    label, made = set_name(name.rpartition("/")[2]), commit()
    for path in sorted(origin.iterdir()):
        if path.name not in (CARD, MANIFEST, ORIGIN):
            check_file(path)
            shutil.copyfile(path, out / path.name)
    (out / CARD).write_text(model_card(out, name, source, __version__, made), encoding="utf-8")
    manifest = Manifest.of(out, label, __version__, made)
    (out / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return verify(out, sniff=True)


def to_folder(origin: Path, target: Path, name: str) -> Manifest:
    """Write the set to a folder, replacing an earlier set."""
    earlier = Manifest.read(target / MANIFEST).files if (target / MANIFEST).exists() else {}
    with staged(target, [MANIFEST, *earlier], option="--to") as folder:
        return build(origin, folder, name)


def to_archive(origin: Path, target: Path, name: str) -> Manifest:
    """Write the set to a .tar or .zip file; the same files give the same bytes."""
    with tempfile.TemporaryDirectory() as beside, replacing(target, "--to FILE") as partial:
        manifest = build(origin, Path(beside), name)
        with partial.open("wb") as out:
            (_tar if target.suffix == ".tar" else _zip)(sorted(Path(beside).iterdir()), out)
    return manifest


def _tar(paths: list[Path], out: IO[bytes]) -> None:
    with tarfile.open(fileobj=out, mode="w") as stored:
        for path in paths:
            member = tarfile.TarInfo(path.name)
            member.size = path.stat().st_size
            with path.open("rb") as stream:
                stored.addfile(member, stream)


def _zip(paths: list[Path], out: IO[bytes]) -> None:
    with zipfile.ZipFile(out, "w") as stored:
        for path in paths:
            stored.writestr(zipfile.ZipInfo(path.name, _EPOCH), path.read_bytes())


def to_hub(origin: Path, repository: str, *, private: bool, revision: str | None) -> Manifest:
    """Upload the set in one commit and tag it with its version."""
    source = remote(f"hf://{repository}").source
    hub, errors = library("huggingface_hub", "hf://"), library("huggingface_hub.errors", "hf://")
    client = hub.HfApi(library_name="hetbench", library_version=__version__)
    with tempfile.TemporaryDirectory() as beside:
        manifest = build(origin, Path(beside), repository, source)
        added = [hub.CommitOperationAdd(path.name, path) for path in sorted(Path(beside).iterdir())]
        message = f"hetbench set {manifest.version}"
        try:
            client.create_repo(repository, private=private, exist_ok=True)
            if revision is not None:
                client.create_branch(repository, branch=revision, exist_ok=True)
            done = client.create_commit(repository, added, commit_message=message, revision=revision)
            client.create_tag(repository, tag=manifest.version, revision=done.oid, exist_ok=True)
        except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"cannot publish to {source}: {first_lines(error)} Check the name, the network and that "
                "the token of `hf auth login` or HF_TOKEN may write there. Nothing is visible before the commit."
            ) from None
    return manifest


def publish(options: argparse.Namespace) -> int:
    """Run the command line."""
    folder = Path(options.origin)
    origin = folder if folder.is_dir() else folder_of(options.origin)
    if options.repo is not None:
        made = to_hub(origin, options.repo, private=options.private, revision=options.revision)
        source = f"hf://{options.repo}@{made.version}"
    else:
        archive = options.to.suffix in (".tar", ".zip")
        made = (to_archive if archive else to_folder)(origin, options.to, options.name)
        source = options.to.resolve().as_uri()
    print(f"{len(made.files)} files, {made.bytes / 1e6:.1f} MB, version {made.version}")
    print(f"hetbench download --from {source}")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--repo", help="ORG/NAME on the hub; created if missing")
    where.add_argument("--to", type=Path, help="folder, or file that ends in .tar or .zip")
    parser.add_argument("--from", dest="origin", default=PACKAGED, help="set or folder to publish")
    parser.add_argument("--name", default="hetbench", help="name of the set; on the hub: of the repository")
    parser.add_argument("--private", action="store_true", help="create the repository as private")
    parser.add_argument("--revision", help="branch to commit to; default: main")
    options = parser.parse_args()
    if options.to is not None and (options.private or options.revision):
        parser.error("--private and --revision go with --repo")
    raise SystemExit(exit_code(lambda: publish(options), stopped="stopped: nothing was published"))


if __name__ == "__main__":
    main()
