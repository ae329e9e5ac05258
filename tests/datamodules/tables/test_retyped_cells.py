"""Cells that pandas or a spreadsheet has written in another way, and cells that stand for something else."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from litzoo.datamodules import CSVRegressionDataModule
from litzoo.datamodules.tables import TableReading
from litzoo.datamodules.tables.csv_files import TableFormat

CODES = ["01234", "11234", "21234"]


def frame(rows=60):
    random = np.random.default_rng(0)
    return pd.DataFrame({"x": [f"{each:.3f}" for each in random.normal(size=rows)], "code": random.choice(CODES, rows)})


def fitted(table, **options):
    return TableReading.fit(table, categorical=["code"], format=TableFormat(**options))


def test_missing_words_of_training_are_missing_in_data_frames_too():
    table = frame()
    table.loc[:5, "x"], table.loc[3:9, "code"] = None, None
    reading = fitted(table, missing_values=["-999", "none"])
    written = table.fillna({"x": "-999", "code": "none"})
    written.to_csv("new.csv", index=False)
    expected = reading.tensor("new.csv")
    assert torch.equal(reading.tensor(table), expected)
    assert torch.equal(reading.tensor(written), expected)
    assert torch.equal(reading.tensor(written.astype({"x": "float64"})), expected)
    for one, other in zip(reading.raw(written.astype({"x": "float64"})), reading.raw(table), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("word", ["-999", "-999.0", "-999,0"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ",")])
def test_a_number_that_is_a_missing_value_is_one_however_it_is_written(word, separator, decimal):
    table = frame()
    table.loc[:5, "x"] = None
    reading = fitted(table, missing_values=[word])
    numbers = table.astype({"x": "float64"}).fillna({"x": -999.0})
    numbers.to_csv("new.csv", index=False, sep=separator, decimal=decimal)
    expected = reading.tensor(table)
    assert torch.equal(reading.tensor("new.csv"), expected)
    assert torch.equal(reading.tensor(numbers), expected)
    assert torch.equal(reading.tensor(numbers.astype({"x": str})), expected)


def test_codes_that_pandas_has_read_as_numbers_are_recognised():
    table = frame().assign(code=np.resize(["1", "2", "3"], 60))
    reading = fitted(table)
    numbers = table.assign(code=table["code"].astype("float64"), x=table["x"].astype("float64"))
    assert torch.equal(reading.tensor(numbers), reading.tensor(table))
    assert torch.equal(reading.tensor(numbers.astype({"code": "Int64"})), reading.tensor(table))
    written = fitted(table.assign(code=table["code"] + ".0"))
    assert torch.equal(written.tensor(table), reading.tensor(table))


def test_codes_without_their_leading_zeros_are_refused():
    reading = fitted(frame())
    retyped = frame().assign(code=frame()["code"].astype(int))
    with pytest.raises(ValueError, match=r"'1234' seems to be '01234' without its leading zeros.*dtype=.'code': str"):
        reading.new_tensor(retyped, "new.csv")


def test_a_column_of_mostly_unseen_categories_is_refused_and_a_single_new_one_is_not():
    reading = fitted(frame())
    with pytest.raises(ValueError, match=r"column 'code' has categories in 60 of 60 rows .* most of its cells: 'x1'"):
        reading.new_tensor(frame().assign(code=np.resize(["x1", "x2"], 60)), "new.csv")
    with pytest.warns(UserWarning, match="encoded as zeros: 'x1'"):
        reading.new_tensor(frame().assign(code="x1"), "new.csv")
    with pytest.warns(UserWarning, match="encoded as zeros: missing"):
        reading.new_tensor(frame().assign(code=None), "new.csv")


def test_numbers_with_separators_of_thousands_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"'1\.234,5' in row 0\. Write numbers without .* such as 1234\.5$"):
        fitted(frame()).tensor(frame().assign(x="1.234,5"))


def test_a_frame_with_decimal_commas_names_two_ways_that_give_the_numbers_of_the_file():
    table = frame().assign(code=np.resize(["a", "b"], 60))
    reading = fitted(table)
    table.assign(x=table["x"].str.replace(".", ",")).to_csv("german.csv", index=False, sep=";", encoding="utf-8-sig")
    as_text = pd.read_csv("german.csv", sep=";", dtype=str)
    remedies = r"pandas\.read_csv\(\.\.\., decimal=','\), or give the path of the CSV file"
    with pytest.raises(ValueError, match=rf"column 'x' .* '{as_text['x'][0]}' in row 0\. .*{remedies}"):
        reading.tensor(as_text)
    assert torch.equal(reading.tensor("german.csv"), reading.tensor(table))
    assert torch.equal(reading.tensor(pd.read_csv("german.csv", sep=";", decimal=",")), reading.tensor(table))


def test_missing_words_of_an_earlier_checkpoint_replace_those_of_pandas():
    state = fitted(frame()).state()
    earlier = {"separator": ",", "decimal": ".", "encoding": "utf-8", "missing_values": ["-999"]}
    assert TableReading.from_state({**state, "format": earlier}).format.missing() == {"", "-999"}
    default = TableReading.from_state({**state, "format": {**earlier, "missing_values": None}}).format
    assert default.missing() == fitted(frame()).format.missing() > {"", "NA", "null"}


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01"])
def test_dates_that_stand_for_something_else_are_refused_unless_they_are_missing_values(date):
    table = frame().assign(day="2020-01-05")
    table.loc[7, "day"] = date
    with pytest.raises(ValueError, match=rf"t\.csv: column 'day' has the date '{date}' in row 7, .*data\.missing"):
        TableReading.fit(table, categorical=["code"], where="t.csv")
    table.assign(y=range(60)).to_csv("t.csv", index=False)
    data = CSVRegressionDataModule(
        file="t.csv", target="y", categorical_columns=["code"], missing_values=[date], root="."
    )
    data.setup("fit")
    assert data.train_set.inputs.isfinite().all()


@pytest.mark.parametrize(("start", "spread"), [(1_700_000_000, 40), (20_000_000, 2), (-5e9, 1000)])
def test_targets_that_float32_cannot_tell_apart_are_refused_with_numbers(start, spread):
    values = start + spread * np.random.default_rng(0).normal(size=60).round(2)
    frame().assign(y=[f"{each:.2f}" for each in values]).to_csv("t.csv", index=False)
    data = CSVRegressionDataModule(file="t.csv", target="y", categorical_columns=["code"], root=".")
    with pytest.raises(ValueError, match=r"target column 'y' has values up to .* float32 rounds to multiples of "):
        data.setup("fit")
    frame().assign(y=[f"{each:.2f}" for each in values - start]).to_csv("t.csv", index=False)
    CSVRegressionDataModule(file="t.csv", target="y", categorical_columns=["code"], root=".").setup("fit")


@pytest.mark.parametrize("name", ["id", "customer_id", "index", ""])
def test_a_repeated_identifier_moves_no_row(name):
    table = frame().assign(y=range(60))[["x", "y"]]
    table.insert(0, name, [str(each) for each in range(60)])
    before = parts(table)
    extra = pd.DataFrame([["0", "9.5", 99]], columns=table.columns)
    with pytest.warns(UserWarning, match=r"has the name of an identifier, but its cells repeat"):
        after = parts(pd.concat([table, extra]))
    assert {row: after[row] for row in before} == before


def parts(table):
    table.to_csv("t.csv", index=False)
    data = CSVRegressionDataModule(file="t.csv", target="y", root=".")
    data.setup("fit")
    train = data.rows_of("train")
    rows = {part: train[index.numpy()] for part, index in data.split.parts().items()} | {"test": data.rows_of("test")}
    return {str(data.frame["x"].iloc[row]): part for part, found in rows.items() for row in found}


def test_a_table_of_identifiers_alone_is_split_by_them():
    table = pd.DataFrame({"user_id": np.arange(200) % 20, "item_id": np.arange(200) // 20, "y": np.arange(200)})
    table.to_csv("t.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = CSVRegressionDataModule(file="t.csv", target="y", root=".")
        data.setup("fit")
    assert 20 < len(data.rows_of("test")) < 60
