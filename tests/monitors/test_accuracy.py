"""Accuracy from the log: the same numbers as scikit-learn's on the joined frame, whatever order things came in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn import metrics as sk

from salver.errors import ConfigError, NotFound
from salver.log.compact import compact
from salver.log.erase import erase
from salver.log.labels import Label, LabelWriter
from salver.monitors.accuracy import Group, Question, accuracy, since
from tests.log.rows import IDS, record, some, write
from tests.models import iris_file
from tests.serving import SALVER, serving

DAY_US = 86_400_000_000
START_US = 1_790_000_000_000_000 // DAY_US * DAY_US


class World:
    """Predictions of a binary model over three days and two versions, and what turned out to be true."""

    def __init__(self, log: Path, rows: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.log = log
        self.ids = IDS.batch(rows)
        self.scores = draw.random(rows)
        self.truth = (draw.random(rows) < self.scores).astype(int)
        self.version = 1 + np.arange(rows) % 2
        self.day = np.arange(rows) * 3 // rows
        self.labels: dict[int, int] = {}
        self._draw = draw
        self._writer = LabelWriter(log)

    def predict(self, rows: Any) -> None:
        made = [
            record(
                self.ids[i],
                ts=int(START_US + self.day[i] * DAY_US),
                version=int(self.version[i]),
                key=f"order-{i}",
                inputs={"plan": "pro" if i % 5 else "basic", "x": 1.0},
                outputs={
                    "prediction": "yes" if self.scores[i] > 0.5 else "no",
                    "probabilities": [float(1 - self.scores[i]), float(self.scores[i])],
                },
            )
            for i in rows
        ]
        write(self.log, made)

    def label(self, rows: Any, *, by_key: bool = False, wrong: bool = False) -> None:
        given: list[Label] = []
        for i in rows:
            self.labels[int(i)] = int(self.truth[i]) ^ wrong
            name = {"key": f"order-{i}"} if by_key else {"id": self.ids[i]}
            given.append(Label(0, "m", "yes" if self.labels[int(i)] else "no", **name))
        self._writer.append(given)

    def strange_labels(self, count: int) -> None:
        self._writer.append([Label(0, "m", "yes", made) for made in IDS.batch(count)])

    def close(self) -> None:
        self._writer.close()

    def check(self, **question: Any) -> None:
        """Everything that is measured is what scikit-learn says of the rows that have labels."""
        found = accuracy(self.log, "m", Question(**question))
        (group,) = found.groups
        rows = np.array(sorted(self.labels))
        labels, scores = np.array([self.labels[int(i)] for i in rows]), self.scores[rows]
        guessed = (scores > 0.5).astype(int)
        assert (group.predictions, group.labelled) == (len(self.ids), len(rows))
        want = {
            "accuracy": sk.accuracy_score(labels, guessed),
            "f1_macro": sk.f1_score(labels, guessed, average="macro"),
            "roc_auc": sk.roc_auc_score(labels, scores),
            "pr_auc": sk.average_precision_score(labels, scores),
            "log_loss": sk.log_loss(labels, scores),
            "brier": sk.brier_score_loss(labels, scores),
        }
        for name, value in want.items():
            assert group.metrics[name].value == pytest.approx(value, rel=1e-11), name
        assert list(group.classes) == ["no", "yes"]


def test_it_is_scikit_learns_whatever_came_when(tmp_path: Path) -> None:
    world = World(tmp_path, 3000)
    draw = np.random.default_rng(1)
    early, late = np.arange(2500), np.arange(2500, 3000)
    world.predict(early)
    world.label(draw.permutation(2000))
    world.label(draw.permutation(2000)[:100])  # duplicates
    world.label(np.arange(200), wrong=True)  # revised
    world.strange_labels(60)
    world.label(late[:50])  # earlier than their predictions
    world.label(late[50:90], by_key=True)
    world.predict(late)
    world.check()
    world.check()
    world.label(np.arange(100))  # revised once more
    world.label(np.arange(100, 120), by_key=True)  # by the key, what was labelled by the id
    world.label(np.arange(2200, 2300), by_key=True)
    world.check()
    world.close()
    compact(tmp_path, grace_s=0)
    world.check()
    world._writer = LabelWriter(tmp_path)
    world.label(np.arange(2000, 2010))
    world.check()
    world.close()
    compact(tmp_path, grace_s=0)
    shutil.rmtree(tmp_path / "joined" / "m")
    world.check()
    erase(tmp_path, "m", "order-7")
    assert accuracy(tmp_path, "m").groups[0].predictions == 2999


def test_groups(tmp_path: Path) -> None:
    world = World(tmp_path, 900)
    world.predict(range(900))
    world.label(range(600))
    world.close()
    by_day = accuracy(tmp_path, "m", Question(by=["day"]))
    assert [(group.predictions, group.labelled) for group in by_day.groups] == [(300, 300), (300, 300), (300, 0)]
    assert by_day.groups[2].metrics == {} and by_day.groups[2].coverage == 0
    both = accuracy(tmp_path, "m", Question(by=["version", "plan"]))
    assert [group.of for group in both.groups] == [
        {"version": v, "plan": plan} for v in ("1", "2") for plan in ("basic", "pro")
    ]
    rows = np.arange(600)
    rows = rows[(world.version[:600] == 2) & (rows % 5 != 0)]
    assert both.groups[3].metrics["accuracy"].value == pytest.approx(np.mean((world.scores[rows] > 0.5) == world.truth[rows]))
    first = accuracy(tmp_path, "m", Question(until_us=START_US + DAY_US, version=1))
    assert first.groups[0].predictions == 150
    with pytest.raises(ConfigError, match="no column 'colour'"):
        accuracy(tmp_path, "m", Question(by=["colour"]))
    with pytest.raises(NotFound):
        accuracy(tmp_path, "other")


def test_a_label_that_is_taken_back_counts_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, 10)
    world.predict(range(10))
    world.label(range(4))
    world._writer.append([Label(0, "m", None, world.ids[0])])
    world.close()
    assert accuracy(tmp_path, "m").groups[0].labelled == 3


def test_weights_are_of_the_sample_times_those_of_labels(tmp_path: Path) -> None:
    ids = IDS.batch(4)
    made = [
        record(made_id, outputs={"prediction": value}, weight=weight)
        for made_id, value, weight in zip(ids, (1.5, 2.5, 3.0, 4.0), (None, 2.0, None, 2.0), strict=True)
    ]
    write(tmp_path, made)
    writer = LabelWriter(tmp_path)
    writer.append([Label(0, "m", 1.0, made_id, weight=w) for made_id, w in zip(ids, (1.0, 1.0, 3.0, None), strict=True)])
    writer.close()
    found = accuracy(tmp_path, "m")
    assert found.task == "regression"
    weights = [1, 2, 3, 2]
    assert found.groups[0].metrics["mae"].value == pytest.approx(np.average([0.5, 1.5, 2.0, 3.0], weights=weights))


def test_spans_and_dates() -> None:
    assert since("7d", 10**15) == 10**15 - 7 * DAY_US
    assert since("2026-01-01", 0) == 1_767_225_600_000_000
    with pytest.raises(ConfigError):
        since("yesterday", 0)


def test_in_the_terminal_and_over_http(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serving([iris_file(tmp_path)], store=store) as server:
        url = f"{server.url}/models/iris_model"
        ids = httpx.post(f"{url}/predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]] * 20}, timeout=30).json()["ids"]
        httpx.post(f"{url}/labels", json={"labels": [{"id": one, "label": i % 2} for i, one in enumerate(ids)]}, timeout=60)
        answer = httpx.get(f"{url}/accuracy", params={"by": "version", "since": "1d"}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["groups"][0]["metrics"]["accuracy"]["value"] == 0.5
        refused = httpx.get(f"{url}/accuracy", params={"by": "nothing"}, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_question")
        assert httpx.get(f"{url}/accuracy", params={"since": "x y"}).status_code == 422
    command = [SALVER, "accuracy", "iris_model", "--store", str(store)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "0.5000" in shown and "100.0%" in shown and "CLASS" in shown
    told = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert told["task"] == "classification" and set(told["groups"][0]["classes"]) == {"0", "1"}
    assert subprocess.run([*command[:2], "nothing", *command[3:]], capture_output=True, check=False).returncode == 1


def test_predictions_without_labels_are_counted(tmp_path: Path) -> None:
    write(tmp_path, some(5))
    (group,) = accuracy(tmp_path, "m").groups
    assert (group.predictions, group.labelled, group.metrics, group.delay_s) == (5, 0, {}, None)


def test_as_metrics(tmp_path: Path) -> None:
    from salver.monitors.measured import measure, read_measured

    store = tmp_path / "store"
    with serving([iris_file(tmp_path)], store=store) as server:
        url = f"{server.url}/models/iris_model"
        made = httpx.post(f"{url}/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=30).json()
        httpx.post(f"{url}/labels", json={"id": made["id"], "label": made["prediction"]}, timeout=60)
        httpx.post(f"{url}/labels", json={"key": "no prediction", "label": 1}, timeout=60)
        assert measure(store / "log") == ["iris_model"]
        assert measure(store / "log") == []  # just done
        text = httpx.get(f"{server.url}/metrics").text
    assert 'salver_accuracy{metric="accuracy",model="iris_model",version="1"} 1.0' in text
    assert 'salver_label_coverage{model="iris_model",version="1"} 1.0' in text
    assert [found.model for found in read_measured(store / "log")] == ["iris_model"]


def several(log: Path, answers: list[Any], labels: list[tuple[int, Any]]) -> Group:
    """Accuracy of answers with several values a row, some of whose labels came; each (row, label) in turn."""
    ids = IDS.batch(len(answers))
    writer = LabelWriter(log)
    for at, label in labels[::2]:
        writer.append([Label(0, "m", label, ids[at])])
    write(log, [record(made, outputs={"prediction": answer}) for made, answer in zip(ids, answers, strict=True)])
    accuracy(log, "m")
    for at, label in labels[1::2]:
        writer.append([Label(0, "m", label, ids[at])])
    writer.close()
    return accuracy(log, "m").groups[0]


def test_several_numbers_a_row_and_labels_that_come_in_parts(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(50, 3))
    answers = truth + draw.normal(size=(50, 3))
    halves: list[tuple[int, Any]] = []
    for i, (a, b, c) in enumerate(truth.tolist()):
        halves += [(i, [None, b, c]), (i, [a, None, None])]
    more = [(0, [None, 9.0, None]), (0, [None, float(truth[0, 1]), None]), (49, None), (49, None)]
    found = several(tmp_path, answers.tolist(), [*halves, *more])
    assert (found.predictions, found.labelled) == (50, 49)
    assert {name: of.labelled for name, of in found.outputs.items()} == {"0": 49, "1": 49, "2": 49}
    for name, of in (("mae", sk.mean_absolute_error), ("rmse", sk.root_mean_squared_error), ("r2", sk.r2_score)):
        assert found.metrics[name].value == pytest.approx(of(truth[:49], answers[:49]), rel=1e-12), name
    assert found.outputs["2"].metrics["mae"].value == pytest.approx(np.abs(truth - answers)[:49, 2].mean())


def test_several_classes_a_row(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    truth = draw.choice(["a", "b"], (60, 2))
    answers = np.where(draw.random((60, 2)) < 0.7, truth, "a")
    labels = [(i, row) for i, row in enumerate(truth.tolist())]
    found = several(tmp_path, answers.tolist(), [*labels[:-1], (59, [str(truth[59, 0]), None])])
    right = answers == truth
    assert found.metrics["exact_match"].value == pytest.approx(right[:59].all(axis=1).mean())
    assert [found.outputs[name].labelled for name in "01"] == [60, 59]
    assert found.outputs["0"].metrics["accuracy"].value == pytest.approx(right[:, 0].mean())
    assert found.outputs["1"].metrics["f1_macro"].value == pytest.approx(
        sk.f1_score(truth[:59, 1], answers[:59, 1], average="macro")
    )


def test_text_after_numbers_is_read_anew(tmp_path: Path) -> None:
    """A version that answers with text where those before answered with numbers."""
    first, second = IDS.batch(4), IDS.batch(4)
    write(tmp_path, [record(made, outputs={"prediction": i % 2}) for i, made in enumerate(first)])
    writer = LabelWriter(tmp_path)
    writer.append([Label(0, "m", i % 2, made) for i, made in enumerate(first)])
    assert accuracy(tmp_path, "m").groups[0].metrics["accuracy"].value == 1
    write(tmp_path, [record(made, outputs={"prediction": "no"}, version=2) for made in second])
    writer.append([Label(0, "m", label, made) for label, made in zip(["no", "yes", "no", "yes"], second, strict=True)])
    writer.close()
    by = accuracy(tmp_path, "m", Question(by=["version"])).groups
    assert [group.metrics["accuracy"].value for group in by] == [1, 0.5]
