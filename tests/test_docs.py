"""The pages of the documentation: what they name exists."""

import importlib.util
import inspect
import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

import lightning.pytorch
import lightning.pytorch.callbacks
import pytest
import torch
import torchmetrics
import torchvision.datasets
import torchvision.transforms.v2
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, WandbLogger

import litzoo
from litzoo.__main__ import COMMANDS
from litzoo.callbacks import BestCheckpoint
from litzoo.scripts.configs import shipped_configs
from litzoo.scripts.docs.experiments_table import SHORT

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # the changelog names what is gone, too
FOLDERS = ("callbacks", "configs", "datamodules", "docs", "lit_modules", "litzoo", "scripts", "tests")
LIBRARIES = (
    torch.nn,
    torch.nn.parallel,
    torch.optim.lr_scheduler,
    torch.utils.data,
    torchvision.datasets,
    torchvision.transforms.v2,
    torchmetrics,
    torchvision.datasets,
    torchvision.transforms.v2,
    lightning.pytorch,
    lightning.pytorch.callbacks,
)
LOGGERS = (CSVLogger, MLFlowLogger, WandbLogger)
OF_THE_READER = {"MyClassifier", "LabelledPhotos", "MultiLabelClassifier", "MaskedPhotos", "Segmenter"}
"""Classes that docs/python.md and docs/tasks.md define."""
OPTIONS_OF_THE_READER = {"data.table"}
"""Options of these classes that no class of litzoo has."""
NOT_SHIPPED = re.compile(r"NAME\w*|\.\.\.|<.*|\(.*|more\.yaml|runs/.*|\S*\*")
"""What stands for a config of the user's."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
current_page = pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)


def code_in(page):
    """Returns the inline code and the code blocks of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)) + blocks


def commands_in(page):
    """Returns the words of each `litzoo COMMAND ...` of a page, in code blocks and inline code."""
    lines = [line for code in code_in(page) for line in code.splitlines() if not line.startswith(("#", "from "))]
    found = [re.search(r"(?:^|[ /])litzoo ([a-z{].*)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@cache
def arguments():
    """Returns the names of all arguments of constructors that a config or the command line can set."""
    classes = [each for each in (getattr(litzoo, name) for name in dir(litzoo)) if inspect.isclass(each)]
    others = (*LOGGERS, Trainer, BestCheckpoint, torch.optim.AdamW, torch.nn.CrossEntropyLoss)
    owners = {owner for each in (*classes, *others) for owner in each.__mro__}
    constructors = [vars(owner)["__init__"] for owner in owners if inspect.isfunction(vars(owner).get("__init__"))]
    return {"init_args", "help"}.union(*(inspect.signature(each).parameters for each in constructors))


def test_code_and_commands_are_found():
    assert "litzoo configs copy mnist_cnn" in code_in(ROOT / "README.md")
    assert ["predict", "--config", "digits_unknown"] in commands_in(ROOT / "docs" / "unknown_classes.md")
    assert any("--model.optimizer.lr" in words for words in commands_in(ROOT / "docs" / "python.md"))


@every_page
def test_every_row_of_a_table_has_as_many_cells_as_its_header(page):
    cells = 0
    for line in page.read_text(encoding="utf-8").splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert bars == cells or not bars or not cells, line
        cells = bars


@every_page
def test_links_and_images_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
    for target in (first or second for first, second in targets):
        path, _, heading = target.partition("#")
        if target.startswith("http"):
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


@current_page
def test_files_and_modules_that_are_named_exist(page):
    for code in code_in(page):
        for word in code.split():
            if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w/.]+\.\w+", word):
                assert (ROOT / word).exists(), word
            if re.fullmatch(r"litzoo(\.[a-z_]+)+", word):
                assert importlib.util.find_spec(word), word


@current_page
def test_commands_and_their_configs_exist(page):
    for words in commands_in(page):
        subcommands = words[0].strip("{}").split(",")
        assert set(subcommands) <= set(COMMANDS), words
        given = [after for word, after in pairwise(words) if word in ("--config", "-c")]
        if words[0] == "configs" and "copy" in words:
            given += words[2:3]
        if words[0] in ("compare", "open-set-splits"):
            given += [word for word in words[1:] if re.fullmatch(r"configs/\w+\.yaml", word)]
            given += re.findall(r"configs/\w+\.yaml", " ".join(words))
        for config in given:
            assert NOT_SHIPPED.fullmatch(config) or Path(config).stem in shipped_configs(), words


@current_page
def test_experiments_that_are_named_are_configs(page):
    datasets = {name.split("_")[0] for name in shipped_configs()} - {"image", "regressor"}
    for code in code_in(page):
        if re.fullmatch(r"[a-z0-9]+_\w+", code) and code.split("_")[0] in datasets:
            assert code in shipped_configs() or code in SHORT, code


@current_page
def test_options_that_are_named_exist(page):
    for code in code_in(page):
        for option in {*re.findall(r"--((?:data|model|trainer|checkpoint)\.[\w.]+)", code)} - OPTIONS_OF_THE_READER:
            for name in option.split(".")[1:]:
                assert name in arguments(), f"--{option}"


@current_page
def test_classes_that_are_named_exist(page):
    for code in code_in(page):
        if re.fullmatch(r"[A-Z]\w*[a-z]\w*", code) and code not in OF_THE_READER:
            assert any(hasattr(library, code) for library in (litzoo, *LIBRARIES)), code


def test_every_shipped_config_begins_with_a_line_that_says_what_it_is():
    for path in shipped_configs().values():
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        assert re.fullmatch(r"# .{20,118}", first_line), path
