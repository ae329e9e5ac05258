"""A row's part depends on its own cells and the seed, whatever else is in the file."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litzoo.datamodules import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.splits.membership import draw_members

HEADER = ["id", "size", "weight", "colour", "y"]


def rows(count=120, seed=0):
    draw = random.Random(seed)
    return [
        [f"r{row}", f"{draw.uniform(1, 9):.3f}", f"{draw.randint(1, 99)}", draw.choice(["red", "blue"]), f"{row % 3}"]
        for row in range(count)
    ]


def write(body, header=HEADER, separator=","):
    lines = [separator.join(row) for row in [header, *body]]
    Path("table.csv").write_text("\n".join(lines), encoding="utf-8")


def table(kind=CSVRegressionDataModule, **options):
    module = kind(file="table.csv", target="y", **options)
    module.setup("fit")
    module.setup("test")
    return module


def parts(**options):
    """Returns identifier -> part."""
    module = table(**options)
    names = module.sample_columns("train", torch.arange(len(module.rows_of("train"))))["id"]
    found = {names[row]: part for part, rows in module.split.parts().items() for row in rows.tolist()}
    test = module.sample_columns("test", torch.arange(len(module.test_set)))["id"]
    return found | dict.fromkeys(test, "test")


KINDS = pytest.mark.parametrize("kind", [CSVRegressionDataModule, CSVClassificationDataModule])


@KINDS
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_adding_removing_moving_and_relabelling_moves_no_other_row(kind, data):
    body = rows()
    write(body)
    before = parts(kind=kind)
    removed = data.draw(st.sets(st.integers(0, 119), max_size=20))
    kept = [list(row) for number, row in enumerate(body) if number not in removed]
    for row in kept[:10]:
        row[4] = data.draw(st.sampled_from("012"))
    changed = kept + [["new" + row[0], *row[1:]] for row in rows(data.draw(st.integers(0, 30)), seed=1)]
    data.draw(st.randoms()).shuffle(changed)
    order = data.draw(st.permutations(range(5)))
    write([[row[at] for at in order] for row in changed], [HEADER[at] for at in order])
    after = parts(kind=kind)
    assert {name: after[name] for name in before if name in after} == {
        name: part for name, part in before.items() if name in after
    }
    assert len(after) == len(changed)


def test_numbers_written_differently_stay_in_their_part():
    write(rows())
    before = parts()
    write([[row[0], row[1].replace(".", ",") + "0", row[2] + ",0", *row[3:]] for row in rows()], separator=";")
    assert parts() == before


def test_equal_rows_are_in_the_same_part():
    body = rows()
    write([*body, *([f"copy of {row[0]}", *row[1:]] for row in body)])
    found = parts()
    assert all(found[f"copy of {row[0]}"] == found[row[0]] for row in body)


def test_copies_are_counted_where_the_table_is_described(capsys):
    body = rows()
    write(body)
    table()
    assert "cop" not in capsys.readouterr().out
    other_target = [*body[4][:4], "9"]
    write([*body, *([f"copy of {row[0]}", *row[1:]] for row in body[:3]), body[3], other_target])
    table(id_columns=["id"])
    assert "4 rows are copies of another row in all cells but id: they count as" in capsys.readouterr().out
    write([row[1:] for row in [*body, body[0]]], HEADER[1:])
    table()
    assert "1 row is a copy of another row: " in capsys.readouterr().out


def test_columns_from_which_nothing_can_be_learned_are_named_where_the_table_is_described(capsys):
    body = rows()
    extra = [[str(7000 - row), "DE", "1.0" if row % 2 else "1", ""] for row in range(len(body))]
    write([each + more for each, more in zip(body, extra, strict=True)], [*HEADER, "Nr", "land", "rate", "empty"])
    with pytest.warns(UserWarning, match="'empty' is empty in all training rows"):
        table()
    found = capsys.readouterr().out
    assert "a single value in all training rows, from which nothing can be learned: land, rate; leave " in found
    assert "a running number, another one in each row, which is an input: Nr; if it only names the rows, " in found
    extra[3][0] = "7001"
    write([each + more[:1] for each, more in zip(body, extra, strict=True)], [*HEADER, "Nr"])
    table()
    assert "running" not in capsys.readouterr().out


def test_categories_in_several_spellings_are_warned_of_with_the_remedy():
    body = rows()
    body[5][3] = body[7][3] = "Red"
    write(body)
    with pytest.warns(UserWarning, match=r"'colour' has categories that .*: 'Red' and 'red'\. .* write it in one way"):
        module = table()
    assert module.reading.categories == [["Red", "blue", "red"]]


def test_the_test_set_does_not_depend_on_the_seed_and_validation_does():
    write(rows())
    one, other = parts(), parts(seed=1)
    assert {name for name, part in one.items() if part == "test"} == {n for n, part in other.items() if part == "test"}
    assert one != other


@KINDS
def test_each_part_is_drawn_once(kind, monkeypatch):
    write(rows())
    drawn = []

    def draw(name, size, ids, key):
        drawn.append(name)
        return draw_members(name, size, ids, key)

    monkeypatch.setattr("litzoo.datamodules.tables.row_parts.draw_members", draw)
    table(kind=kind).fingerprint()
    assert drawn == ["test_size", "val_size"]


def test_sizes_may_be_counts_and_smaller_training_sets_are_nested():
    write(rows())
    found = parts(test_size=30, val_size=10, train_size=40)
    assert [list(found.values()).count(part) for part in ("train", "val", "test")] == [40, 10, 30]
    smaller = parts(test_size=30, val_size=10, train_size=20)
    assert {n for n, part in smaller.items() if part == "train"} < {n for n, part in found.items() if part == "train"}


def test_the_fingerprint_does_not_depend_on_the_order_of_the_rows():
    write(rows())
    before = table().fingerprint()
    write(rows()[::-1])
    assert table().fingerprint() == before
    body = rows()
    body[3][4] = "7"
    write(body)
    assert table().fingerprint() != before


@pytest.mark.parametrize("options", [{"test_size": 0}, {"val_size": 1.0}, {"train_size": 0}, {"test_size": 121}])
def test_sizes_that_leave_nothing_are_refused(options):
    write(rows())
    with pytest.raises(ValueError, match=r"(test|val|train)_size"):
        table(**options)
