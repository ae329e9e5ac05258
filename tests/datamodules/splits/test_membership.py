import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litzoo.datamodules.splits.core import count_of
from litzoo.datamodules.splits.membership import content_id, draw_members, draw_numbers, parts_of

contents = st.lists(st.binary(min_size=1, max_size=6), min_size=40, max_size=120, unique=True)


def ids_of(count, start=0):
    return [content_id(str(number).encode()) for number in range(start, start + count)]


def part_by_id(ids, **options):
    parts = parts_of(ids, **({"seed": 0, "val_size": 0.3, "test_size": 0.3} | options))
    return {ids[position]: name for name, part in parts.items() for position in part.tolist()}


def test_ids_are_hashes_of_the_content():
    assert content_id(b"abc") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()


def test_the_draw_is_the_same_on_every_machine():
    ids = ids_of(3)
    assert [round(number, 6) for number in draw_numbers(ids, "test")] == [
        round(
            (int.from_bytes(hashlib.blake2b(f"test\n{each}".encode(), digest_size=8).digest(), "big") >> 11) / 2**53, 6
        )
        for each in ids
    ]


@given(contents, st.data())
def test_adding_removing_and_reordering_moves_no_sample(data, draw):
    ids = [content_id(each) for each in data]
    before = part_by_id(ids)
    kept = draw.draw(st.permutations(ids))[: draw.draw(st.integers(25, len(ids)))]
    after = part_by_id([*kept, *ids_of(draw.draw(st.integers(0, 30)))])
    assert {each: after[each] for each in kept} == {each: before[each] for each in kept}


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_counts_are_met(val_size, test_size, seed):
    parts = parts_of(ids_of(100), seed, val_size, test_size)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 100 - val_size - test_size,
        "val": val_size,
        "test": test_size,
    }
    assert sorted(np.concatenate([part.numpy() for part in parts.values()])) == list(range(100))


@given(st.lists(st.integers(0, 30), max_size=90), st.sampled_from([0.3, 7]))
def test_exact_duplicates_are_in_the_same_part(numbers, size):
    ids = [content_id(bytes([number])) for number in [*numbers, *range(31)]]
    parts = parts_of(ids, 0, size, size)
    part_of = {}
    for name, part in parts.items():
        for position in part.tolist():
            assert part_of.setdefault(ids[position], name) == name


def test_a_larger_count_contains_a_smaller_one():
    ids = ids_of(100)
    small, large = (set(parts_of(ids, 0, 0, size)["test"].tolist()) for size in (10, 30))
    assert small < large


def test_fractions_are_met_on_average():
    parts = parts_of(ids_of(20000), 0, 0.1, 0.2)
    # Three standard deviations of a binomial count.
    assert abs(len(parts["test"]) - 4000) < 3 * (20000 * 0.2 * 0.8) ** 0.5
    assert abs(len(parts["val"]) - 1600) < 3 * (16000 * 0.1 * 0.9) ** 0.5


def test_the_test_part_does_not_depend_on_the_seed():
    ids = ids_of(200)
    first, second = (parts_of(ids, seed, 0.2, 0.2) for seed in (0, 1))
    assert first["test"].tolist() == second["test"].tolist()
    assert first["val"].tolist() != second["val"].tolist()


def test_no_global_generator_is_used():
    random.seed(0)
    np.random.seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist()
    parts_of(ids_of(50), 0, 0.2, 0.2)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


@pytest.mark.parametrize(
    ("val_size", "test_size", "message"),
    [
        (1.5, 0.2, "val_size: 1.5 is not a fraction"),
        (0.2, -1, "test_size: -1 is negative"),
        (0, 101, "test_size: 101 requested, but only 100 samples"),
        (50, 50, "leave no training sample of 100"),
        ("some", 0.2, "val_size: 'some' is not a size"),
        (0.0001, 0.2, "less than one"),
    ],
)
def test_bad_sizes_are_refused(val_size, test_size, message):
    with pytest.raises(ValueError, match=message):
        parts_of(ids_of(100), 0, val_size, test_size)


def test_a_part_that_comes_out_empty_is_refused():
    ids = next(
        [each] * 9 + ids_of(1, 99) for each in ids_of(50) if draw_numbers([each, *ids_of(1, 99)], "test").min() > 0.3
    )
    with pytest.raises(ValueError, match=r"test_size: a fraction of 0\.3 of 10 samples came out empty"):
        parts_of(ids, 0, 0, 0.3)


@pytest.mark.parametrize(("size", "count"), [(80.0, 80), (2.0, 2), (1.0, 100), (0.5, 50), (1, 1)])
def test_a_whole_number_above_1_is_a_count(size, count):
    assert count_of("train_size", size, 100) == count
    ids = list(map(str, range(100)))
    members = draw_members("val_size", size, ids, "val")
    assert (members == draw_members("val_size", int(size) if size > 1 else size, ids, "val")).all()
