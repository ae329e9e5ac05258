import pytest
import torch
import torch.nn.functional as F

from litzoo.callbacks import EpochSeed, ExactResume, LastCheckpoint
from litzoo.datamodules import AlternatingFlip, DigitsDataModule, ReflectedShift
from litzoo.datamodules.transforms.alternating import AugmentationChain, mirrored_first
from litzoo.datamodules.transforms.policies import AUGMENTATIONS, augmentation_of
from tests.datamodules.recording import Recorder, quiet_trainer


@pytest.fixture(autouse=True)
def _seeded(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


def images(count=64, channels=3, height=12, width=10, dtype=torch.uint8):
    return torch.randint(256, (count, channels, height, width)).to(dtype)


def mirrored(before, after):
    """Returns which images were mirrored; all others have to be as they were."""
    was_mirrored = (after == before.flip(3)).flatten(1).all(1)
    assert torch.equal(after[~was_mirrored], before[~was_mirrored])
    return was_mirrored


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_two_successive_epochs_show_every_image_both_ways(dtype):
    before, index, flip = images(dtype=dtype), torch.randperm(50_000)[:64], AlternatingFlip()
    of_epoch = [mirrored(before, flip(before, index, epoch)) for epoch in range(6)]
    for epoch in range(5):
        assert torch.equal(of_epoch[epoch], ~of_epoch[epoch + 1])
    assert flip(before, index, 0).dtype == dtype


def test_a_flip_depends_on_sample_and_epoch_and_not_on_the_batch_or_what_was_drawn():
    before, index = images(), torch.arange(100, 164)
    whole = mirrored(before, AlternatingFlip()(before, index, 4))
    torch.rand(7)
    order = torch.randperm(64)
    assert torch.equal(mirrored(before[order], AlternatingFlip()(before[order], index[order], 4)), whole[order])


def test_coins_are_fair_and_independent_of_neighbours_and_seeds():
    coins = torch.stack([mirrored_first(torch.arange(10_000), seed) for seed in (0, 1, 2, 3, 12345, 2**32 - 1)])
    assert ((coins.double().mean(1) - 0.5).abs() < 0.02).all()  # four standard deviations
    signs = coins.double() * 2 - 1
    assert ((signs @ signs.T / 10_000 - torch.eye(6)).abs() < 0.04).all()
    for lag in (1, 2, 4, 8, 1000):
        assert ((signs[:, lag:] * signs[:, :-lag]).mean(1).abs() < 0.05).all()


def test_the_runs_seed_decides(monkeypatch):
    before, index = images(), torch.arange(64)
    first = AlternatingFlip()(before, index, 0)
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert not torch.equal(AlternatingFlip()(before, index, 0), first)


def test_without_an_index_it_is_a_random_flip():
    before = images(1000, 1, 4, 5)
    assert 440 < mirrored(before, AlternatingFlip()(before)).sum() < 560


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_a_reflected_shift_is_one_of_the_crops_of_the_reflected_image(pixels, dtype):
    before = images(200, dtype=dtype)
    after = ReflectedShift(pixels)(before)
    padded = F.pad(before.float(), [pixels] * 4, mode="reflect").to(dtype)
    moves = [(row, column) for row in range(2 * pixels + 1) for column in range(2 * pixels + 1)]
    crops = torch.stack([padded[:, :, row : row + 12, column : column + 10] for row, column in moves], 1)
    same = (crops == after[:, None]).flatten(2).all(2)
    assert same.any(1).all()
    assert same.any(0).all()  # all of them are drawn
    assert after.dtype == dtype


def test_the_combination_flips_then_shifts():
    before, index = images(40, 3, 32, 32), torch.arange(40)
    torch.manual_seed(5)
    expected = ReflectedShift(2)(AlternatingFlip()(before, index, 1))
    torch.manual_seed(5)
    assert torch.equal(AUGMENTATIONS["alternating_flip_shift"](32)(before, index, 1), expected)
    chained = augmentation_of("augment", ["none", "alternating_flip_shift"], (3, 32, 32))
    torch.manual_seed(5)
    assert torch.equal(chained(before, index, 1), expected)


def test_a_chain_hands_index_and_epoch_to_those_that_take_them():
    before, index = images(), torch.arange(64)
    chain = AugmentationChain([lambda x: 255 - x, AlternatingFlip()])
    assert torch.equal(chain(before, index, 1), AlternatingFlip()(255 - before, index, 1))
    assert chain.by_sample
    assert not AugmentationChain([lambda x: x]).by_sample


class KilledError(Exception):
    pass


class DiesAt(Recorder):
    """Dies at the start of an epoch."""

    def __init__(self, epoch=None):
        super().__init__()
        self.epoch = epoch

    def on_train_epoch_start(self):
        if self.current_epoch == self.epoch:
            raise KilledError


def train(module, checkpoint=None):
    callbacks = [EpochSeed(), ExactResume(), LastCheckpoint()]
    trainer = quiet_trainer("run", epochs=4, callbacks=callbacks, enable_checkpointing=True)
    data = DigitsDataModule(train_size=60, val_size=20, batch_size=25, augment="alternating_flip_shift")
    trainer.fit(module, data, ckpt_path=checkpoint)
    return module


def test_a_resumed_training_sees_the_images_of_an_unbroken_one():
    unbroken = train(DiesAt())
    with pytest.raises(KilledError):
        train(DiesAt(3))
    resumed = train(DiesAt(), "run/checkpoints/last.ckpt")
    assert ("train", 2) not in resumed.seen
    for name in ("index", "input"):
        assert torch.equal(resumed.column("train", name, 3), unbroken.column("train", name, 3))


def test_training_batches_alternate_and_evaluation_is_left_alone():
    module = DiesAt()
    data = DigitsDataModule(train_size=60, val_size=20, batch_size=25)
    data.augmentation = AlternatingFlip()
    quiet_trainer("run", epochs=2).fit(module, data)
    originals = data.normalise(data.train_set.inputs)
    of_epoch = []
    for epoch in (0, 1):
        index, seen = (module.column("train", name, epoch) for name in ("index", "input"))
        of_epoch.append(mirrored(originals[index], seen)[index.argsort()])
        assert torch.equal(module.column("val", "input", epoch), originals[module.column("val", "index", epoch)])
    assert torch.equal(of_epoch[0], ~of_epoch[1])
    assert 15 < of_epoch[0].sum() < 45
