"""Fetch a pinned upstream: by git, only the pinned commit and the files that are read, or as an HTTP archive.

Git verifies every object by its hash and does not fetch files twice. An archive download resumes after an interruption
and is stored with its sha256; if the pin states one, any other is refused.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from data_collection.upstream.files import Tree, UpstreamError, open_trees, selected
from data_collection.upstream.pins import Commit, Pin
from hetbench.artifacts import sha256_of

__all__ = ["ARCHIVES", "HOST", "by_archive", "by_git", "found"]

HOST = "https://github.com"
ARCHIVES = "https://codeload.github.com"
_AT_ONCE = 500  # blobs per request
_WAIT = 60
_CHUNK = 1 << 20


def found(pin: Pin, root: Path) -> Path | None:
    """The folder of a source below a root: named as the source, as owner+name or owner/name, or as the repository."""
    flat = pin.repository.replace("/", "+")
    for name in (pin.name, f"{flat}/repo", flat, pin.repository, pin.repository.split("/")[1]):
        if (root / name).is_dir():
            return root / name
    return None


def by_git(pin: Pin, cache: Path, host: str = HOST) -> list[Tree]:
    """The pinned commits in a bare repository of the cache, shared by sources of one repository."""
    home = cache / (pin.repository.replace("/", "+") + ".git")
    url = f"{host}/{pin.repository}"
    if not (home / "HEAD").exists():
        home.mkdir(parents=True, exist_ok=True)
        _git(home, url, "init", "--quiet", "--bare")
        _git(home, url, "config", "remote.origin.url", url)
        _git(home, url, "config", "remote.origin.promisor", "true")
        _git(home, url, "config", "remote.origin.partialclonefilter", "blob:none")
    for commit in pin.commits:
        if not _holds(home, commit.sha):
            _git(home, url, "fetch", "--quiet", "--depth", "1", "--no-tags", "--filter=blob:none", url, commit.sha)
            _git(home, url, "update-ref", f"refs/pins/{commit.sha}", commit.sha)
    trees = open_trees(pin, home)
    for tree in trees:
        _bring(home, url, tree.commit.sha, tree.listing().values())
    return trees


def _bring(home: Path, url: str, sha: str, wanted: Iterable[str]) -> None:
    """Fetch the wanted blobs that are missing."""
    told = subprocess.run(
        ["git", "-C", str(home), "rev-list", "--objects", "--missing=print", "--no-walk", sha],
        capture_output=True, text=True,
    )  # fmt: skip
    lacking = {line[1:] for line in told.stdout.splitlines() if line.startswith("?")}
    missing = [blob for blob in dict.fromkeys(wanted) if blob in lacking]
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        _git(home, url, "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", url, "--no-tags",
             "--no-write-fetch-head", "--filter=blob:none", "--stdin", given="\n".join(some) + "\n")  # fmt: skip


def _holds(home: Path, sha: str) -> bool:
    told = subprocess.run(["git", "-C", str(home), "show-ref", "--verify", "--quiet", f"refs/pins/{sha}"])
    return told.returncode == 0


def _git(home: Path, url: str, *words: str, given: str | None = None) -> None:
    environment = {"GIT_TERMINAL_PROMPT": "0", "PATH": _path(), "HOME": str(home), "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", str(home), *words], input=given, capture_output=True, text=True,
                              env=environment)  # fmt: skip
    except FileNotFoundError:
        raise UpstreamError("git is not installed; use --via archive, or --from with an unpacked archive.") from None
    if done.returncode:
        told = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UpstreamError(
            f"could not fetch from {url}: {told}. Without a network give --from (or --from-root) with a clone; "
            "what already came is kept, the same command goes on from there."
        )


def _path() -> str:
    git = shutil.which("git")
    return f"{Path(git).parent}:/usr/bin:/bin" if git else "/usr/bin:/bin"


def by_archive(pin: Pin, cache: Path, host: str = ARCHIVES, sha256: str | None = None) -> list[Tree]:
    """The selected files of each pinned commit, unpacked from a tar archive of the commit."""
    home = cache / pin.name
    for commit in pin.commits:
        into = home if len(pin.commits) == 1 else home / commit.sha[: pin.cited]
        if not (into / ".whole").exists():
            packed = cache / f"{pin.name}-{commit.sha}.tar.gz"
            _resumed(f"{host}/{pin.repository}/tar.gz/{commit.sha}", packed, sha256)
            _unpacked(packed, into, commit)
    return open_trees(pin, home)


def _resumed(url: str, path: Path, sha256: str | None) -> None:
    """Download, resuming after the bytes that exist; the file gets its final name only if its hash is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    if not path.exists():
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=_WAIT) as answer:
                going_on = have > 0 and answer.status == 206
                with part.open("ab" if going_on else "wb") as stream:
                    shutil.copyfileobj(answer, stream, _CHUNK)
                length = answer.headers.get("Content-Length")
                if length and part.stat().st_size != int(length) + (have if going_on else 0):
                    have = part.stat().st_size
                    raise UpstreamError(f"{url} broke off; run the same command again to resume.")
        except urllib.error.HTTPError as error:
            raise UpstreamError(f"{url} answered {error.code} {error.reason}.") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            why = f"could not reach {url}: {reason}. Without a network give --from with a clone."
            raise UpstreamError(why) from None
        part.replace(path)
    digest = sha256_of(path)
    stated = path.with_name(path.name + ".sha256")
    expected = sha256 or (stated.read_text().strip() if stated.exists() else digest)
    if digest != expected:
        path.unlink()
        raise UpstreamError(f"{url} has sha256 {digest}, expected {expected}; it was removed.")
    stated.write_text(digest + "\n")


def _unpacked(packed: Path, into: Path, commit: Commit) -> None:
    """Extract only regular files that the pin selects, into the folder, without the archive's top folder."""
    try:
        with tarfile.open(packed) as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                if member.isfile() and ".." not in name.split("/") and selected([name], commit.paths):
                    content = archive.extractfile(member)
                    target = into / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read() if content else b"")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UpstreamError(f"{packed} is no readable archive: {error}. Remove it and try again.") from None
    into.mkdir(parents=True, exist_ok=True)
    (into / ".whole").touch()
