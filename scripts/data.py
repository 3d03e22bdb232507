"""Download a data set from its official source.

plastic-rl data omniglot
plastic-rl data cifar10 --root /data
"""

from collections.abc import Sequence
from pathlib import Path

from plastic_rl.envs.data.archives import ROOT_VARIABLE, data_root
from plastic_rl.scripts import CommandParser, command, refuse

# Data set: where its archives are, and each one's MD5.
OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
SOURCES = {
    "omniglot": {
        f"{OMNIGLOT}/images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
        f"{OMNIGLOT}/images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
    },
    "cifar10": {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
}
RETRIES = 3


def make_parser() -> CommandParser:
    """Return the command's parser."""
    parser = CommandParser("data", __doc__)
    parser.add_argument("data_set", choices=sorted(SOURCES))
    parser.add_argument("--root", help=f"folder to put it in; default: {ROOT_VARIABLE}, else ~/.cache/plastic_rl")
    parser.add_argument("--url", nargs="+", help="get the archives from these addresses instead, as from a mirror")
    parser.add_argument("--md5", nargs="+", help="their sums, in that order; default: the official ones")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Download the archives that are not there yet."""
    args = make_parser().parse_args(argv)
    official = {_name(url): md5 for url, md5 in SOURCES[args.data_set].items()}
    urls = args.url or list(SOURCES[args.data_set])
    sums = args.md5 or [official.get(_name(url)) for url in urls]
    if len(sums) != len(urls):
        refuse(f"--md5 must give one sum for each of the {len(urls)} addresses, got {len(sums)}")
    for url, md5 in zip(urls, sums, strict=True):
        if "://" not in url or _name(url) in ("", ".", ".."):
            refuse(f"--url must be an address that ends in a file's name, got {url}")
        if md5 is None:
            refuse(f"--url must end in one of {', '.join(official)}, or have its --md5, got {url}")
    for url, md5 in zip(urls, sums, strict=True):
        print(download(url, data_root(args.root), str(md5).lower()))


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def download(url: str, folder: Path, md5: str, retries: int | None = None) -> Path:
    """Download a file into a folder, whole or not at all; one that is there and has the right MD5 is kept.

    A failed connection is tried again `retries` times, by default `RETRIES`. Raises `UsageError` where it cannot be
    reached or written, or has another sum.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    retries = RETRIES if retries is None else retries
    what = {"registry": {_name(url): f"md5:{md5}"}, "urls": {_name(url): url}}
    try:
        return Path(pooch.create(folder, "", retry_if_failed=retries, **what).fetch(_name(url), progressbar=True))
    except (requests.RequestException, ValueError) as error:  # ValueError: another sum, or no such kind of address
        refuse(f"{url} cannot be downloaded: {error}")
    except OSError as error:
        refuse(f"{folder / _name(url)} cannot be written: {error}")
