"""The workflows of `real` find what was put into their data."""

import pytest

from d4py_examples.real import batched_inference, event_detection
from dispel4py import run


def test_event_detection_picks_every_arrival():
    outputs = run(event_detection.graph, inputs=60).outputs
    picks = outputs["Detector2"]["output"]
    assert {pick["station"]: pick["second"] for pick in picks} == event_detection.ARRIVALS


def test_event_detection_finds_nothing_in_noise():
    assert run(event_detection.graph, inputs=30).outputs == {}


@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_batched_inference_classifies_every_point(mapping):
    pytest.importorskip("numpy")
    options = {} if mapping == "simple" else {"processes": 3}
    result = run(batched_inference.graph, mapping=mapping, inputs=400, **options)
    found = sorted(result.outputs["Classify1"]["output"])
    kinds = ["different", "alike", "different", "alike"]
    expected = [(*point, kind) for point, kind in zip(batched_inference.POINTS, kinds, strict=True)]
    assert found == sorted(expected * 100)
