import numpy as np
import pytest
import torch

from tests.datamodules.tables.test_csv_regression import ByPosition

ROWS = 60


def table(seed=0):
    """Rows of a table as text: two columns of numbers (one with gaps), a constant one, one of words, the target."""
    random = np.random.RandomState(seed)
    rows = []
    for row in range(ROWS):
        gap = "" if random.rand() < 0.2 else f"{random.uniform(-5, 50):.3f}"
        word = ["red", "green", "", "dark blue"][random.randint(4)]
        rows.append([f"{random.uniform(100, 900):.2f}", gap, "7", word, f"{row + 0.5}"])
    return rows


def load(rows, **options):
    """Writes and loads a table; returns `part -> (file rows, prepared inputs)`: the target names the row."""
    with open("table.csv", "w") as file:
        file.write("\n".join(",".join(row) for row in [["size", "gappy", "constant", "colour", "y"], *rows]))
    datamodule = ByPosition(**{"root": ".", "file": "table.csv", "target": "y", "val_size": 0.25, **options})
    datamodule.setup("fit")
    parts = {}
    for name in ("train", "val", "test"):
        dataset = getattr(datamodule, f"{name}_set")
        batch = dataset.__getitems__(list(range(len(dataset))))
        parts[name] = ((batch["target"] - 0.5).long().numpy(), batch["input"].numpy())
    return parts


def by_hand(rows, fitted):
    """Prepares all rows with statistics of the `fitted` ones: numbers, then the gap mark, then a column a word."""
    numbers = np.array([[float(cell) if cell else np.nan for cell in row[:3]] for row in rows])
    gaps = np.isnan(numbers[:, 1])
    for column in range(3):
        known = sorted(value for value in numbers[fitted, column] if not np.isnan(value))
        median = (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
        numbers[np.isnan(numbers[:, column]), column] = median
    numbers = np.column_stack([numbers, gaps])
    mean, std = numbers[fitted].mean(axis=0), numbers[fitted].std(axis=0)
    numbers = (numbers - mean) / np.where(std == 0, 1, std)
    words = sorted({rows[row][3] for row in fitted})
    return np.column_stack([numbers, *([row[3] == word for row in rows] for word in words)])


@pytest.mark.parametrize("options", [{}, {"train_size": 15}, {"seed": 3}], ids=str)
def test_columns_are_prepared_with_the_training_rows_alone(options):
    rows = table()
    parts = load(rows, **options)
    assert sorted(np.concatenate([parts[name][0] for name in ("val", "test")])) != list(range(ROWS))
    expected = by_hand(rows, parts["train"][0])
    for numbers, inputs in parts.values():
        np.testing.assert_allclose(inputs, expected[numbers], atol=1e-5)


def test_targets_keep_their_units_and_the_parts_are_the_whole_table():
    parts = load(table())
    assert {name: len(numbers) for name, (numbers, _) in parts.items()} == {"train": 36, "val": 12, "test": 12}
    assert sorted(np.concatenate([numbers for numbers, _ in parts.values()])) == list(range(ROWS))


@pytest.mark.parametrize("changed", ["val", "test"])
def test_rows_outside_training_influence_no_other_row(changed):
    rows = table()
    before = load(rows)
    for row in before[changed][0]:
        rows[row][:4] = ["1e6", "" if row % 2 else "-1e6", "12345", f"word {row}"]
    after = load(rows)
    for name in {"train", "val", "test"} - {changed}:
        assert np.array_equal(before[name][1], after[name][1])
    assert not np.allclose(before[changed][1], after[changed][1])


def test_a_word_not_seen_in_training_has_all_columns_0():
    rows = table()
    unseen = np.concatenate([load(rows)[name][0] for name in ("val", "test")])
    for row in unseen:
        rows[row][3] = "unheard of"
    parts = load(rows)
    for name in ("val", "test"):
        assert (parts[name][1][:, 4:] == 0).all()
    assert (parts["train"][1][:, 4:].sum(axis=1) == 1).all()


def test_a_gap_that_training_has_not_seen_becomes_the_median():
    rows = table()
    parts = load(rows)
    for row in range(ROWS):
        rows[row][0] = "" if row in parts["test"][0] else str(row * 10)
    after = load(rows)
    train = np.array([row * 10 for row in after["train"][0]])
    median = (np.median(train) - train.mean()) / train.std()
    np.testing.assert_allclose(after["test"][1][:, 0], median, atol=1e-5)
    assert after["train"][1].shape[1] == parts["train"][1].shape[1]


def test_inputs_are_float32_and_finite_with_an_empty_column():
    rows = [[*row[:2], "", *row[3:]] for row in table()]
    inputs = torch.from_numpy(load(rows)["test"][1])
    assert inputs.dtype == torch.float32
    assert inputs.isfinite().all()
