"""What the documentation says is there, and it is said in our words."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from plastic_rl.cores import registered_cores
from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.scripts.cli import COMMANDS
from tests.api import MODULES
from tests.docs.texts import DOCS, ROOT, blocks, pages, sources, tutorials

PARSERS = import_module("commands").parsers()  # the site's own extension, which texts.py puts on the path

TEXTS = [*pages(), *tutorials(), *sources()]
IDS = [str(path.relative_to(ROOT)) for path in TEXTS]

BRITISH = (
    r"\w*(optimi|normali|initiali|generali|recogni|minimi|maximi|organi|summari|speciali)s(e|ed|es|er|ers|ing|ation|ations)|"
    "colours?|coloured|behaviours?|neighbours?|neighbouring|favours?|favourite|honours?|centres?|centred|grey|greyscale|"
    "analyse[ds]?|licence|catalogue|modelled|modelling|travelled|cancelled|artefacts?|learnt|whilst|amongst"
)
LIFE = "life|lives|lifetime|lifetimes"  # an episode is an episode, several of a hidden task are a trial
NOT_OURS = re.compile(rf"\b({BRITISH}|{LIFE})\b", re.IGNORECASE)

# Sentences that were hard to read once, each with what took its place. None of them may come back.
HARD_TO_READ = [
    "agents that learn within a lifetime",
    "many runs at a time belong on the cores of a cpu",
    "one that is damaged is said, set aside as",
    "may be a number of numpy",
    "a core that is no plastic layer subclasses",
    "plasticity against its twins",
    "every run has one thread, and minutes are those that a processor worked for it",
    "threads of torch that have nothing to do shall sleep",
    "nobody without info can have 1 in the bandit",
    "made once more: for a layer that is not there any more",
]


def words(text):
    """Return a text in one line, in small letters, without the marks of Markdown and comments."""
    return " ".join(re.sub(r"[`*#]", " ", text).lower().split())


@pytest.mark.parametrize("path", TEXTS, ids=IDS)
def test_spelling_is_american_and_an_episode_is_no_life(path):
    lines = enumerate(path.read_text().splitlines(), 1)
    assert not [f"line {i}: {found[0]}" for i, line in lines for found in NOT_OURS.finditer(line)]


@pytest.mark.parametrize("path", TEXTS, ids=IDS)
def test_no_sentence_that_was_hard_to_read_comes_back(path):
    text = words(path.read_text())
    assert not [sentence for sentence in HARD_TO_READ if sentence in text]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        path = (page.parent / target).resolve()
        if target.startswith("generated/tutorials/"):  # the site makes these pages from the scripts
            path = DOCS / "tutorials" / f"{Path(target).name}.py"
            assert path.exists() or Path(target).name == "index", target
        else:
            assert path.exists(), target


@pytest.mark.parametrize(
    "page",
    [page for page in (*pages(), *tutorials()) if page.name != "mistakes.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_commands_and_their_options_exist(page):
    text = page.read_text().replace("\\\n", " ")
    for command, rest in re.findall(r"(?:plastic-rl|-m plastic_rl) ([a-z]+)\b([^`\n#]*)", text):
        assert command in COMMANDS, command
        known = options(command)
        for option in re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", rest):
            assert option in known, f"{command} {option}"


def options(command):
    """Return the options of a command's parser, or the words of the modules that it runs where it makes none."""
    parser = PARSERS.get(command)
    if parser is None:
        modules = {"benchmark": "plastic_rl.scripts.benchmarks", "zoo": "rl_zoo3"}
        files = Path(import_module(modules[command]).__file__).parent.rglob("*.py")
        return {option for file in files for option in re.findall(r"--?[a-zA-Z][\w-]*", file.read_text())}
    return {option for action in parser._actions for option in action.option_strings}


def imports(code):
    """Return the names that Python code imports from this package, with their modules."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    found = [(node.module or "", alias.name) for node in nodes for alias in node.names]
    return [(module, name) for module, name in found if module.partition(".")[0] == "plastic_rl"]


@pytest.mark.parametrize("page", [*pages(), *tutorials()], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_users_are_told_to_import_is_public(page):
    code = [page.read_text()] if page.suffix == ".py" else [b.text for b in blocks(page) if b.language == "python"]
    for module, name in [found for text in code for found in imports(text)]:
        assert module in MODULES, f"{module} is not public"
        assert name in import_module(module).__all__, f"{module}.{name} is not public"


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_blocks_are_yaml(page):
    for block in blocks(page):
        if block.language == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", [*pages(), *tutorials()], ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_code_fit_their_column(page):
    text = page.read_text()
    if page.suffix == ".md":
        code = [block.text for block in blocks(page)] + re.findall(r"(?m)^    (.*)", text)
    else:
        code = [re.sub(r'(?s)\A""".*?"""|(?m:^#[^\n]*)', "", text)]
    assert not [line for part in code for line in part.splitlines() if len(line) > 96]


def test_every_task_is_on_the_tasks_page():
    text = (DOCS / "tasks.md").read_text()
    assert not [name for name in ENVIRONMENTS if text.count(f"`{name}`") < 3]


def test_every_core_is_on_the_cores_page():
    text = (DOCS / "cores.md").read_text()
    own = [name for name in registered_cores() if "_" in name or name.isalpha()]
    assert not [name for name in own if f"`{name}`" not in text and name not in ("neuromodulated", "retroactive")]


def test_the_list_of_words_finds_what_it_should():
    assert all(NOT_OURS.search(text) for text in ("the optimiser", "Lives", "renormalised", "colours"))
    assert not NOT_OURS.search("ColourBandit-v0, promise, precise, otherwise, alive, color, life_length")
