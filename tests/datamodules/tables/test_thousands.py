"""Points and commas that separate thousands in the numbers of a table."""

from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo.datamodules import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.tables import TableReading
from litzoo.datamodules.tables.csv_files import TableFormat, read_table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def columns(text, **options):
    Path("t.csv").write_text(text, encoding="utf-8")
    frame, found = read_table(Path("t.csv"), "", **options)
    return {name: frame[name].tolist() for name in frame}, found


@pytest.mark.parametrize(
    ("cells", "expected", "line"),
    [
        (["1.097", "892"], ["1097", "892"], "points are thousands separators, 1.097 is 1097"),
        (["24.260,7", "-1.234.567"], ["24260.7", "-1234567"], "points are thousands separators, 24.260,7 is 24260,7"),
        (["1.097", "?", "NA"], ["1097", "?", None], "points are thousands separators, 1.097 is 1097"),
        (["1.097", "1.5"], ["1.097", "1.5"], ""),
        (["0.250", "1.097"], ["0.250", "1.097"], ""),
        (["192.168.1.10", "192.168.100.100"], ["192.168.1.10", "192.168.100.100"], ""),
        (["01.02.2024", "03.04.2024"], ["01.02.2024", "03.04.2024"], ""),
        (["1.097", "old", "new"], ["1.097", "old", "new"], ""),
    ],
)
def test_points_beside_a_decimal_comma_separate_thousands_if_all_of_the_column_do(cells, expected, line, capsys):
    found, form = columns("\n".join(["Umsatz;Größe", *(f"{cell};1,57" for cell in cells)]))
    assert found == {"Umsatz": expected, "Größe": ["1.57"] * len(cells)}
    assert form.decimal == ","
    assert capsys.readouterr().out == (f"t.csv: Umsatz: {line}\n" if line else "")


def test_the_option_and_a_cell_with_both_signs_tell_the_decimal_comma_too():
    assert columns("a;b\n1.097;1\n892;2", given=TableFormat(decimal=","))[0]["a"] == ["1097", "892"]
    assert columns("a;b\n1.097,5;1\n1.892;2")[0]["a"] == ["1097.5", "1892"]
    assert columns("a;b\n1.097;1\n892;2")[0]["a"] == ["1.097", "892"]  # nothing tells


@pytest.mark.parametrize(
    ("cells", "other", "expected"),
    [
        (["1,234.5", "1,234"], "7", ["1234.5", "1234"]),
        (["1,234", "892"], "1.57", ["1234", "892"]),
        (["1,234,567", "1,234"], "7", ["1234567", "1234"]),
        (["1,234", "Rome, Italy"], "1.57", ["1,234", "Rome, Italy"]),
    ],
)
def test_commas_beside_a_decimal_point_separate_thousands(cells, other, expected, capsys):
    found, form = columns("\n".join(["a;b", *(f"{cell};{other}" for cell in cells)]))
    assert found["a"] == expected
    assert form.decimal == "."
    assert ("a: commas are thousands separators, " in capsys.readouterr().out) == (expected != cells)


def test_codes_prove_no_decimal_point_and_keep_their_signs():
    with pytest.raises(ValueError, match=r"column 'a' has cells such as '1,234'.*data\.decimal"):
        columns("a;version\n1,234;1.5\n", kept=["version"])
    assert columns("a;version\n1,5;1.097\n", kept=["version"])[0]["version"] == ["1.097"]
    assert columns("a;b\n1,5;1.097\n", kept=None)[0]["b"] == ["1.097"]


def german(name="sales.csv", rows=60):
    random = np.random.RandomState(0)
    lines = ["Umsatz;Größe;Faktor;Art;Gewinn"]
    for row in range(rows):
        sales, size = random.randint(800, 40000), random.randint(100, 900) / 100
        factor, kind = f"{row / 8 + 0.125:.3f}", f"{row % 3 + 1}.000"
        lines.append(f"{sales:,};{size:.2f};{factor.replace('.', ' ')};{kind};{sales * 1.5:,.1f}")
    text = "\n".join(lines).replace(".000", "@").replace(",", "'").replace(".", ",").replace("'", ".")
    Path(name).write_text(text.replace(" ", ".").replace("@", ".000") + "\n", encoding="utf-8")


def test_inputs_and_target_of_a_training_have_their_thousands():
    german()
    data = CSVRegressionDataModule(file="sales.csv", target="Gewinn", categorical_columns=["Art"], root=".")
    data.setup("fit")
    assert data.frame["Umsatz"].astype(float).min() >= 800
    torch.testing.assert_close(data.target_mean, 1.5 * data.frame["Umsatz"].astype(float).mean(), rtol=0.1, atol=0)
    assert set(data.frame["Art"]) == {"1.000", "2.000", "3.000"}
    classes = CSVClassificationDataModule(file="sales.csv", target="Art", root=".")
    assert classes.class_names == ("1.000", "2.000", "3.000")


def test_new_rows_are_read_as_the_columns_of_training_were():
    german()
    data = CSVRegressionDataModule(file="sales.csv", target="Gewinn", categorical_columns=["Art"], root=".")
    data.setup("fit")
    reading = TableReading.from_state(data.state_dict()["reading"])
    new = "Umsatz;Größe;Faktor;Art\n{};{};{};2.000\n"
    Path("new.csv").write_text(new.format("39.841", "3", "1.125"), encoding="utf-8")  # no sign of its own
    row = reading.read("new.csv").iloc[0].tolist()
    assert row == ["39841", "3", "1.125", "2.000"]
    Path("new.csv").write_text(new.format("39841", "3.25", "1.125"), encoding="utf-8")  # decimal points
    assert reading.read("new.csv").iloc[0].tolist() == ["39841", "3.25", "1.125", "2.000"]
    Path("new.csv").write_text(new.format("39.841,5", "3,25", "1.125"), encoding="utf-8")
    rows, written = reading.read_as_written("new.csv", "")
    assert rows.iloc[0].tolist() == ["39841.5", "3.25", "1.125", "2.000"]
    assert written.iloc[0].tolist() == ["39.841,5", "3,25", "1.125", "2.000"]


def test_a_comma_that_a_new_file_does_not_explain_is_refused_as_before():
    Path("t.csv").write_text("a;b\n1.5;2\n2.5;3000\n")  # of both meanings, 1.234 and 1234, neither is far
    reading = TableReading.fit(read_table(Path("t.csv"), "")[0])
    Path("new.csv").write_text("a;b\n1;1,234\n")
    with pytest.raises(ValueError, match=r"column 'b' .*'1,234' in row 2\."):
        reading.tensor("new.csv")


def test_a_target_with_units_is_no_class():
    Path("t.csv").write_text("a;y\n" + "".join(f"{row};1.{row:03d},5 €\n" for row in range(30)), encoding="utf-8")
    with pytest.raises(ValueError, match=r"'1\.000,5 €' in row 2; write numbers without currency, .* as 1234\.5"):
        CSVRegressionDataModule(file="t.csv", target="y", root=".").setup("fit")
