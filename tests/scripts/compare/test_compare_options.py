from pathlib import Path

import pytest

from litzoo.scripts.compare.options import parse


@pytest.fixture(autouse=True)
def _configs():
    Path("other").mkdir()
    for path in ("ce.yaml", "gce.yaml", "other/ce.yaml"):
        Path(path).write_text("model: {}\n")
    Path("broken.yaml").write_text("model: {")
    Path("page.md").write_text("<!-- compare ce -->\n")


def test_each_config_is_a_variant():
    args = parse(["ce.yaml", "gce.yaml", "--common", "--data.train_size 10 --config other/ce.yaml"], "")
    common = ["--data.train_size", "10", "--config", "other/ce.yaml"]
    assert args.variants == {"ce": ["--config", "ce.yaml", *common], "gce": ["--config", "gce.yaml", *common]}
    assert args.name == "ce_vs_gce"
    assert args.seeds == [0, 1, 2]


def test_variants_that_all_name_a_config_need_no_other():
    args = parse(["--variant=a: ce.yaml", "--variant=b: ce.yaml --model.x 1", "--folds", "3"], "")
    assert args.variants == {"a": ["--config", "ce.yaml"], "b": ["--config", "ce.yaml", "--model.x", "1"]}
    assert args.name == "a_vs_b"


def test_a_comparison_needs_a_config_or_a_variant(capsys):
    with pytest.raises(SystemExit):
        parse(["--seeds", "0"], "")
    assert "the following arguments are required: configs" in capsys.readouterr().err


@pytest.mark.parametrize("tie", ["=", " "])
def test_each_override_of_one_config_is_a_variant_and_comes_after_common(tie):
    variants = ["--variant=plain:", f"--variant{tie}wide: --model.hidden=[9]".replace(" wide", "\nwide")]
    words = [word for variant in variants for word in variant.split("\n")]
    args = parse(["ce.yaml", *words, *f"--common{tie}--model.dropout=0.1".split(" ")], "")
    assert args.variants == {
        "plain": ["--config", "ce.yaml", "--model.dropout=0.1"],
        "wide": ["--config", "ce.yaml", "--model.dropout=0.1", "--model.hidden=[9]"],
    }


def test_a_variant_with_its_own_config_is_added_to_the_others():
    words = ["--common=--model.dropout=0.1", "--variant=mild: gce.yaml --model.loss.q=0.3"]
    of_gce = ["--config", "gce.yaml", "--model.dropout=0.1", "--model.loss.q=0.3"]
    assert parse(["ce.yaml", *words], "").variants == {
        "ce": ["--config", "ce.yaml", "--model.dropout=0.1"],
        "mild": of_gce,
    }
    assert parse(["ce.yaml", *words, "--variant=plain:"], "").variants == {
        "mild": of_gce,
        "plain": ["--config", "ce.yaml", "--model.dropout=0.1"],
    }


def test_shipped_experiments_and_files_go_by_their_short_names():
    names = ["ce", "mnist_noisy_ce", "--variant=mild: mnist_noisy_gce --model.loss.q=0.3"]
    args = parse(names, "")
    assert args.variants == {
        "ce": ["--config", "ce"],
        "mnist_noisy_ce": ["--config", "mnist_noisy_ce"],
        "mild": ["--config", "mnist_noisy_gce", "--model.loss.q=0.3"],
    }
    assert args.name == "ce_vs_mnist_noisy_ce"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cee.yaml"], "cee.yaml: there is no such config; nearest: .*ce.yaml"),
        (["broken.yaml"], "broken.yaml: is no YAML"),
        (["ce.yaml", "ce.yaml"], "ce: is given twice"),
        (["ce.yaml", "other/ce.yaml"], "ce: is given twice"),
        (["ce.yaml", "--variant=a: --x 1", "--variant=b: --x 1"], "b: is given twice, also as a"),
        (
            ["ce.yaml", "--run", "1", "--launcher", "ray"],
            "--run 1: trains one run here and writes no page; leave out --l",
        ),
        (["ce.yaml", "--run", "1", "--write", "a.md"], "writes no page; leave out --write a.md"),
        (["ce.yaml", "gce.yaml", "--variant=a:"], "--variant a: names no config, and there are 2"),
        (["--variant=a: ce.yaml", "--variant=b:"], "--variant b: names no config, and there are none beside it"),
        (["ce.yaml", "--variant=a: gcce.yaml"], "gcce.yaml: there is no such config; nearest: gce.yaml"),
        (["ce.yaml", "--variant=ce: gce.yaml"], "ce: is given twice"),
        (["ce.yaml", "--variant=a: ce.yaml"], "a: is given twice, also as ce"),
        (["ce.yaml", "--variant=a: ce"], "a: is given twice, also as ce"),
        (["mnist_noisy_cee"], "mnist_noisy_cee: there is no such config; nearest: mnist_noisy_ce"),
        (["ce.yaml", "--variant=--x 1"], 'takes "name: options"'),
        (["ce.yaml", "--variant=a b: --x 1"], "'a b': is used as a folder name"),
        (["ce.yaml", "--name=../a"], "'../a': is used as a folder name"),
        (["ce.yaml", "--seeds", "1", "1"], "--seeds 1 1: takes different seeds"),
        (["ce.yaml", "--seeds", "-1"], "--seeds -1: .*none below 0"),
        (["ce.yaml", "--jobs", "0"], "--jobs 0: takes at least 1"),
        (["ce.yaml", "--metric", "val/acc"], "--metric val/acc: takes a test or training metric"),
        (["ce.yaml", "--common=--seed_everything=1"], "--seed_everything=1 is set by the comparison"),
        (["ce.yaml", "--variant=a: --ckpt_path x"], "--ckpt_path is set by the comparison"),
        (["ce.yaml", "--write", "none.md"], "--write none.md: needs a page"),
        (["ce.yaml", "--write", "page.md"], "one pair of lines <!-- compare ce --> and <!-- /compare ce -->"),
    ],
)
def test_invalid_options_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse(words, "")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "configs"),
        (["ce.yaml", "--seeds"], "--seeds: expected at least one"),
        (["ce.yaml", "--epoch", "first"], "'first'"),
    ],
)
def test_errors_of_argparse_name_the_option(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(words, "")
    assert message in capsys.readouterr().err
