"""Get a data set: `python -m plastic_rl.scripts.data omniglot` or `cifar10`, from its official source."""

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from plastic_rl.envs.data.archives import ROOT_VARIABLE, data_root

# Data set: where its archives are, and each one's MD5.
OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
SOURCES = {
    "omniglot": {
        f"{OMNIGLOT}/images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
        f"{OMNIGLOT}/images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
    },
    "cifar10": {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
}
TRIES = 4
_CHUNK = 2**18


class DownloadError(RuntimeError):
    """A download that cannot be had; the message says which, and why."""


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="python -m plastic_rl.scripts.data", description=__doc__)
    parser.add_argument("data_set", choices=sorted(SOURCES))
    parser.add_argument("--root", help=f"folder to put it in; default: {ROOT_VARIABLE}, else ~/.cache/plastic_rl")
    parser.add_argument("--url", nargs="+", help="get the archives from these addresses instead, as from a mirror")
    parser.add_argument("--md5", nargs="+", help="their sums, in that order; default: the official ones")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Download the archives that are not there yet."""
    parsed = make_parser().parse_args(arguments)
    try:
        for url, md5 in _wanted(parsed):
            download(url, data_root(parsed.root) / url.rpartition("/")[2], md5)
    except DownloadError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


def _wanted(parsed: argparse.Namespace) -> list[tuple[str, str]]:
    official = SOURCES[parsed.data_set]
    urls = parsed.url or list(official)
    if parsed.md5 is not None and len(parsed.md5) != len(urls):
        raise DownloadError(f"--md5 must give one sum for each of the {len(urls)} addresses, got {len(parsed.md5)}")
    by_name = {url.rpartition("/")[2]: md5 for url, md5 in official.items()}
    sums = parsed.md5 or [by_name.get(url.rpartition("/")[2]) for url in urls]
    wanted = []
    for url, md5 in zip(urls, sums, strict=True):
        if "://" not in url or url.rpartition("/")[2] in ("", ".", ".."):
            raise DownloadError(f"--url must be an address that ends in a file's name, got {url}")
        if md5 is None:
            raise DownloadError(f"--url must end in one of {', '.join(by_name)}, or have its --md5, got {url}")
        wanted.append((url, md5.lower()))
    return wanted


def download(url: str, target: Path, md5: str, pause: float = 1.0) -> None:
    """Download a file, whole or not at all.

    What has come is kept in a `.part` file beside it while the connection fails, and a later try goes on from there.

    Args:
        url: where it is.
        target: where it shall be; a file that is there and has the right sum is kept.
        md5: its MD5, as hexadecimal digits.
        pause: seconds before the first new try; twice as many before each further one.

    Raises:
        DownloadError: it cannot be reached or written, or has another sum; a file of another sum is deleted.
    """
    if target.exists() and _md5(target) == md5:
        print(f"{target} is there already")
        return
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{target.parent} cannot be made: {error}") from error
    for attempt in range(TRIES):
        try:
            _fetch(url, part)
            break
        except _DiskError as error:
            part.unlink(missing_ok=True)
            raise DownloadError(f"{part} cannot be written: {error.__cause__}") from error
        except (OSError, HTTPException, ValueError) as error:  # ValueError: no such kind of address
            hopeless = isinstance(error, ValueError) or (isinstance(error, HTTPError) and error.code < 500)
            if hopeless or attempt == TRIES - 1:
                raise DownloadError(f"{url} cannot be had: {error}") from error
            time.sleep(pause * 2**attempt)
    found = _md5(part)
    if found != md5:
        part.unlink()
        raise DownloadError(f"{url} has MD5 {found}, not {md5}: it is not the file that was meant, and was not kept")
    part.replace(target)
    print(target)


class _DiskError(Exception):
    """Writing failed, not the connection."""


def _fetch(url: str, part: Path) -> None:
    """Append what is missing of a file to its `.part`."""
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(request, timeout=30)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is left to come
            return
        raise
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        came = have if resumed else 0
        with (
            _opened(part, "ab" if resumed else "wb") as file,
            tqdm(total=total, initial=came, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            while chunk := response.read(_CHUNK):
                try:
                    file.write(chunk)
                    file.flush()
                except OSError as error:
                    raise _DiskError from error
                came += len(chunk)
                bar.update(len(chunk))
    if total is not None and came < total:
        raise ConnectionError(f"the connection ended after {came} of {total} bytes")


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        return path.open(mode)
    except OSError as error:
        raise _DiskError from error


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
