"""The real Omniglot and CIFAR-10, downloaded over loopback from a folder that has them."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import gymnasium as gym
import numpy as np
import pytest

from plastic_rl.scripts.data import download

ARCHIVES = {
    "omniglot": ["images_background.zip", "images_evaluation.zip"],
    "cifar10": ["cifar-10-subset-binary.tar.gz"],
}


@pytest.fixture(scope="module")
def root(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=real_data))
    Thread(target=server.serve_forever, daemon=True).start()
    for names in ARCHIVES.values():
        for name in names:
            md5 = hashlib.md5((real_data / name).read_bytes()).hexdigest()
            download(f"http://127.0.0.1:{server.server_port}/{name}", folder, md5)
    server.shutdown()
    return folder


SPLITS = {"train": 1523, "test": 100, "background": 964, "evaluation": 659}


@pytest.mark.parametrize(("split", "classes"), SPLITS.items())
def test_omniglot(root, split, classes):
    env = gym.make("plastic_rl/OneShotOmniglot-v0", root=str(root), split=split)
    images = env.unwrapped.task.images
    assert images.shape == (classes, 20, 31, 31)
    assert 0.02 < (images > 127).mean() < 0.15
    observation, info = env.reset(seed=0)
    assert observation["label"].argmax() == info["target"]


def test_omniglots_train_and_test_share_no_character(root):
    from plastic_rl.envs.data.omniglot import load_omniglot

    train, test = ({image.tobytes() for image in load_omniglot(split, root)} for split in ("train", "test"))
    assert not train & test


def test_cifar10(root):
    env = gym.make("plastic_rl/ImageRecall-v0", root=str(root), source="cifar10")
    images = env.unwrapped.task.images
    assert 7900 < len(images) <= 8000
    rows = images.reshape(-1, 32)
    assert np.corrcoef(rows[:, :-1].ravel(), rows[:, 1:].ravel())[0, 1] > 0.8
