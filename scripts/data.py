"""Download a data set from its official source.

    plastic-rl data omniglot
    plastic-rl data cifar10 --root /data

A download that broke is continued, and what arrived is checked.
"""

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

PARSER = CommandParser("data", __doc__)
PARSER.add_argument("data_set", choices=sorted(SOURCES))
PARSER.add_argument("--root", help=f"folder to put it in; default: {ROOT_VARIABLE}, else ~/.cache/plastic_rl")


@command
def main(argv: list[str]) -> None:
    """Download the archives that are not there yet."""
    args = PARSER.parse_args(argv)
    for url, md5 in SOURCES[args.data_set].items():
        print(download(url, data_root(args.root), md5))


def download(url: str, folder: Path, md5: str, retries: int = 3) -> Path:
    """Download a file into a folder, unless it is there with the right MD5; `UsageError` where that cannot be."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    name = url.rpartition("/")[2]
    source = pooch.create(folder, "", registry={name: f"md5:{md5}"}, urls={name: url}, retry_if_failed=retries)
    try:
        return Path(source.fetch(name, progressbar=True))
    except (OSError, ValueError) as error:  # ValueError: another sum, or no such kind of address
        refuse(f"{url} cannot be downloaded into {folder}: {error}")
