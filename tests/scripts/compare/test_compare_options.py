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
    asked = parse(["ce.yaml", "gce.yaml", "--common", "--data.train_size 10 --config other/ce.yaml"], "")
    common = ["--data.train_size", "10", "--config", "other/ce.yaml"]
    assert asked.variants == {"ce": ["--config", "ce.yaml", *common], "gce": ["--config", "gce.yaml", *common]}
    assert asked.name == "ce_vs_gce"
    assert asked.seeds == [0, 1, 2]


@pytest.mark.parametrize("tie", ["=", " "])
def test_each_override_of_one_config_is_a_variant_and_has_the_last_word(tie):
    variants = ["--variant=plain:", f"--variant{tie}wide: --model.hidden=[9]".replace(" wide", "\nwide")]
    words = [word for variant in variants for word in variant.split("\n")]
    asked = parse(["ce.yaml", *words, *f"--common{tie}--model.dropout=0.1".split(" ")], "")
    assert asked.variants == {
        "plain": ["--config", "ce.yaml", "--model.dropout=0.1"],
        "wide": ["--config", "ce.yaml", "--model.dropout=0.1", "--model.hidden=[9]"],
    }


def test_a_variant_with_a_config_of_its_own_stands_beside_the_others():
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cee.yaml"], "cee.yaml: there is no such config; nearest: .*ce.yaml"),
        (["broken.yaml"], "broken.yaml: is no YAML"),
        (["ce.yaml", "ce.yaml"], "ce: is there twice"),
        (["ce.yaml", "other/ce.yaml"], "ce: is there twice"),
        (["ce.yaml", "--variant=a: --x 1", "--variant=b: --x 1"], "b: is there twice, also as a"),
        (["ce.yaml", "gce.yaml", "--variant=a:"], "--variant a: goes with one config, here are 2"),
        (["ce.yaml", "--variant=a: gcce.yaml"], "gcce.yaml: there is no such config; nearest: gce.yaml"),
        (["ce.yaml", "--variant=ce: gce.yaml"], "ce: is there twice"),
        (["ce.yaml", "--variant=a: ce.yaml"], "a: is there twice, also as ce"),
        (["ce.yaml", "--variant=--x 1"], 'takes "name: options"'),
        (["ce.yaml", "--variant=a b: --x 1"], "'a b': becomes a folder's"),
        (["ce.yaml", "--name=../a"], "'../a': becomes a folder's"),
        (["ce.yaml", "--seeds", "1", "1"], "--seeds 1 1: each once"),
        (["ce.yaml", "--seeds", "-1"], "--seeds -1: .*none below 0"),
        (["ce.yaml", "--jobs", "0"], "--jobs 0: at least 1"),
        (["ce.yaml", "--metric", "val/acc"], "--metric val/acc: takes one of the test"),
        (["ce.yaml", "--common=--seed_everything=1"], "--seed_everything=1 is set by the comparison"),
        (["ce.yaml", "--variant=a: --ckpt_path x"], "--ckpt_path is set by the comparison"),
        (["ce.yaml", "--write", "none.md"], "--write none.md: needs a page"),
        (["ce.yaml", "--write", "page.md"], "one pair of lines <!-- compare ce --> and <!-- /compare ce -->"),
    ],
)
def test_mistakes_are_refused_before_anything_is_trained(words, message):
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
def test_what_argparse_refuses_is_named(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(words, "")
    assert message in capsys.readouterr().err
