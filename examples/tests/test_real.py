"""The workflows of `real` find what was put into their data."""

from d4py_examples.real import event_detection
from dispel4py import run


def test_event_detection_picks_every_arrival():
    outputs = run(event_detection.graph, inputs=60).outputs
    picks = outputs["Detector2"]["output"]
    assert {pick["station"]: pick["second"] for pick in picks} == event_detection.ARRIVALS


def test_event_detection_finds_nothing_in_noise():
    assert run(event_detection.graph, inputs=30).outputs == {}
