"""The counts of several workers make one."""

from __future__ import annotations

from salver.server.samples import Merge, Sample, merged

MERGE: dict[str, Merge] = {"requests": "sum", "ready": "min", "info": "max", "seconds": "sum", "accuracy": "here"}


def test_counters_are_added_by_their_labels() -> None:
    one = [Sample("requests", ("a",), 2.0), Sample("requests", ("b",), 5.0)]
    other = [Sample("requests", ("a",), 3.0)]
    assert merged([one, other], MERGE) == [Sample("requests", ("a",), 5.0), Sample("requests", ("b",), 5.0)]
    assert one[0].value == 2.0


def test_histograms_are_added_bucket_by_bucket() -> None:
    one, other = Sample("seconds", (), 1.5, [1, 0, 2]), Sample("seconds", (), 0.5, [0, 4, 1])
    assert merged([[one], [other]], MERGE) == [Sample("seconds", (), 2.0, [1, 4, 3])]
    assert one.counts == [1, 0, 2]


def test_gauges_are_what_makes_sense_of_them() -> None:
    said = [[Sample("ready", (), ready), Sample("info", (), 1.0), Sample("accuracy", (), 0.9)] for ready in (1.0, 0.0)]
    assert merged(said, MERGE) == [Sample("ready", (), 0.0), Sample("info", (), 1.0), Sample("accuracy", (), 0.9)]


def test_a_metric_of_another_version_is_left_out() -> None:
    assert merged([[Sample("gone", (), 1.0)]], MERGE) == []
