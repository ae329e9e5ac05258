"""What configs say of themselves, and what those of a family have in common."""

import pytest
import yaml

from tests.scripts.helpers import CONFIGS

EVERY_CONFIG = sorted(CONFIGS.glob("*.yaml"))


def test_there_are_configs():
    assert len(EVERY_CONFIG) >= 12


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=lambda path: path.stem)
def test_config_says_in_its_first_line_what_it_is(config):
    first_line = config.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith("# ")
    assert len(first_line) > 30


def differences(config, base, place=""):
    """Names what differs between two nested dictionaries, the topmost of each."""
    if not (isinstance(config, dict) and isinstance(base, dict)):
        return set() if config == base else {place.removesuffix(".")}
    return {each for key in {*config, *base} for each in differences(config.get(key), base.get(key), f"{place}{key}.")}


NET, DATA = "model.init_args.", "data.init_args."
ONLY = {  # base -> experiment -> what differs
    "mnist_cnn": {
        "mnist_noisy_ce": {f"{DATA}label_noise", f"{DATA}noisy_val"},
        "mnist_long_tailed_ce": {f"{DATA}imbalance"},
        "mnist_disturb_label": {f"{NET}loss"},
        "mnist_label_smoothing": {f"{NET}loss"},
    },
    "mnist_noisy_ce": {
        "mnist_noisy": set(),
        **{f"mnist_noisy_{loss}": {f"{NET}loss"} for loss in ("gce", "sce", "elr", "forward")},
        "mnist_noisy_coteaching": {"model.class_path", f"{NET}forget_rate"},
        "fashion_mnist_noisy_ce": {"data.class_path", f"{DATA}augment", "trainer.max_epochs"},
    },
    "fashion_mnist_noisy_ce": {
        **{f"fashion_mnist_noisy_{loss}": {f"{NET}loss"} for loss in ("gce", "sce", "elr", "forward")},
        "fashion_mnist_noisy_coteaching": {"model.class_path", f"{NET}forget_rate"},
    },
    "mnist_long_tailed_ce": {
        "mnist_long_tailed_weighted": {f"{NET}loss", f"{DATA}class_weighting"},
        "mnist_long_tailed_sampler": {f"{DATA}sampling"},
        "mnist_long_tailed_logit_adjusted": {f"{NET}loss"},
        "mnist_long_tailed_posthoc": {f"{NET}posthoc_tau"},
        "mnist_long_tailed_ldam": {f"{NET}loss", f"{DATA}class_weighting"},
    },
    "cifar10_fast": {
        "cifar100_fast": {"data.class_path"},
        "cifar10_autoaugment": {f"{DATA}augment"},
        "cifar10_unknown": {f"{NET}loss", f"{DATA}known_classes", "trainer.max_epochs", "trainer.callbacks"},
        "cifar10_94": {f"{NET}widths", f"{DATA}val_size", "trainer.max_epochs"},
        "cifar10_overfitting": {f"{NET}loss", f"{NET}tta", f"{DATA}augment", "trainer.max_epochs"},
        "cifar10_noisy_ce": {f"{NET}loss", f"{DATA}label_noise", f"{DATA}noisy_val"},
        "cifar10n_worst_ce": {f"{NET}loss", f"{DATA}label_noise", f"{DATA}noisy_val"},
    },
    **{
        f"{family}_ce": {
            **{f"{family}_{loss}": {f"{NET}loss"} for loss in ("gce", "sce", "elr", "forward", "sop")},
            f"{family}_coteaching": {f"{NET}forget_rate"},
        }
        for family in ("cifar10_noisy", "cifar10n_worst")
    },
    "cifar10_resnet18": {"cifar10_disturb_label": {f"{NET}loss"}},
    "cifar10_long_tailed_ce": {
        "cifar10_long_tailed_weighted": {f"{NET}loss", f"{DATA}class_weighting"},
        "cifar10_long_tailed_sampler": {f"{DATA}sampling"},
        "cifar10_long_tailed_logit_adjusted": {f"{NET}loss"},
        "cifar10_long_tailed_ldam": {
            *(f"{NET}loss", f"{NET}cosine_scale", f"{DATA}class_weighting"),
            f"{NET}optimizer.init_args.lr",  # cosines times 30 diverge with that of the others
        },
    },
    "california_housing": {
        "regressor_dropout": {f"{NET}dropout"},
        "california_disturb_value": {f"{NET}dropout", f"{NET}loss"},
    },
}


@pytest.mark.parametrize(("base", "name"), [(base, name) for base in ONLY for name in ONLY[base]])
def test_an_experiment_differs_from_its_base_in_what_it_is_about_alone(base, name):
    config, other = (yaml.safe_load((CONFIGS / f"{each}.yaml").read_text(encoding="utf-8")) for each in (name, base))
    assert differences(config, other) == ONLY[base][name]
