"""Columns of many words, the rarest of which share one feature: against scikit-learn's `OneHotEncoder`."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder

from litzoo import CSVClassificationDataModule, MLPClassifier, Predictor
from litzoo.datamodules.tables.reading import TableReading

LIMIT = 10


def table(rows=600, seed=0):
    random = np.random.default_rng(seed)
    jobs = np.minimum(random.geometric(0.02, rows), 300)
    frame = pd.DataFrame({"job": [f"job {number}" for number in jobs], "size": random.normal(size=rows).round(3)})
    frame["place"] = random.choice(["town", "sea", None], rows)
    return frame.assign(y=np.where(jobs % 2 == random.integers(0, 2, rows), "a", "b"))


def fitted(frame, rows=400, limit=LIMIT):
    return TableReading.fit(frame, np.arange(rows), target="y", max_categories=limit)


def features_of(reading, frame, name):
    return reading.tensor(frame)[:, reading.feature_groups[name]].numpy()


def test_features_are_those_of_scikit_learn_and_the_pooled_one_is_the_last():
    frame = table()
    reading = fitted(frame)
    words = frame[["job"]].to_numpy(dtype=object)
    encoder = OneHotEncoder(max_categories=LIMIT, handle_unknown="ignore", sparse_output=False).fit(words[:400])
    known = np.isin(words[:, 0], words[:400])
    expected = encoder.transform(words)
    features = features_of(reading, frame, "job")
    assert features.shape[1] == LIMIT
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(features.sum(1), known)  # no word of training is lost, and no unseen one is pooled
    assert not known.all()
    counts = frame["job"][:400].value_counts()
    assert counts[encoder.infrequent_categories_[0]].max() <= counts[reading.categories[0][: LIMIT - 1]].min()
    pooled = frame["job"].isin(encoder.infrequent_categories_[0])
    np.testing.assert_array_equal(features[:, -1], pooled)


def test_columns_of_few_words_and_large_limits_change_nothing():
    frame = table().assign(job=lambda frame: frame["job"].str[:5])
    plain = TableReading.fit(frame, np.arange(400), target="y")
    for limit in (LIMIT, 1000):
        assert fitted(frame, limit=limit).state() == plain.state()
    all_words = fitted(table(), limit=1000)
    assert all_words.word_features == [len(known) for known in all_words.categories]
    assert all_words.word_features[0] == table()["job"][:400].nunique() > 100


def test_it_is_restored_from_plain_values_and_from_checkpoints_of_before():
    frame = table()
    reading = fitted(frame)
    restored = TableReading.from_state(json.loads(json.dumps(reading.state())))
    assert torch.equal(restored.tensor(frame), reading.tensor(frame))
    assert restored.num_features == reading.num_features == reading.tensor(frame).shape[1]
    plain = TableReading.fit(frame.drop(columns="job"), target="y")
    state = plain.state()
    del state["word_features"]
    assert torch.equal(
        TableReading.from_state(state).tensor(frame.drop(columns="job")), plain.tensor(frame[["size", "place"]])
    )


def test_the_command_says_what_is_pooled_and_a_checkpoint_predicts_with_it(capsys):
    frame = table()
    frame.to_csv("t.csv", index=False)
    with pytest.raises(ValueError, match=r"'job' has \d+ categories, more than 100.*data\.max_categories 100 keeps"):
        CSVClassificationDataModule(file="t.csv", target="y", root=".").setup("fit")
    data = CSVClassificationDataModule(file="t.csv", target="y", root=".", max_categories=LIMIT)
    data.setup("fit")
    used = frame["job"].iloc[data.rows_of("train")[data.split.train.numpy()]].value_counts()
    pooled = used[data.reading.categories[0][LIMIT - 1 :]]
    assert (
        f"the {len(pooled)} rarest of {len(used)} categories of job are pooled into one: each is in at most "
        f"{pooled.max()} training rows, all are in {pooled.sum() / used.sum():.0%} of these rows"
    ) in capsys.readouterr().out
    torch.manual_seed(0)
    model = MLPClassifier(data.input_shape, data.num_classes, class_names=data.class_names, hidden=[8]).eval()
    predictor = Predictor(model, TableReading.from_state(data.state_dict()["reading"]), device="cpu")
    rare, other = pooled.index[0], pooled.index[1]
    rows = pd.DataFrame({"job": [rare, other, used.index[0]], "size": 0.5, "place": "sea"})
    found = predictor(rows).probabilities
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    with pytest.warns(UserWarning, match="'job' has categories in 1 of 1 rows .* encoded as zeros: 'unheard of'"):
        unseen = predictor(rows[:1].assign(job="unheard of")).probabilities
    assert not torch.equal(unseen[0], found[0])


def test_a_limit_without_a_category_of_its_own_is_refused():
    with pytest.raises(ValueError, match=r"data\.max_categories: 1 leaves no category"):
        CSVClassificationDataModule(file="t.csv", target="y", max_categories=1)
