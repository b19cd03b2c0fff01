"""The workflow of seismology finds what ObsPy, SciPy and NumPy find in the whole records."""

import itertools
import os
import shutil

import numpy as np
import obspy
import pytest
from matplotlib.image import imread
from obspy.signal.trigger import recursive_sta_lta_py, trigger_onset
from scipy.signal import welch

from d4py_examples.pictures.__main__ import main
from d4py_examples.real import seismology
from dispel4py import run

RATE, SECONDS, LAG = 50, 10, 100


@pytest.fixture(scope="module")
def records():
    """Return station → its record, prepared."""
    stream = obspy.read(seismology.SAMPLE)
    stream.detrend("linear").taper(0.05, max_length=1.0).resample(50.0)
    stream.filter("bandpass", freqmin=10.0, freqmax=20.0)
    return {trace.stats.station: trace for trace in stream}


@pytest.fixture(scope="module")
def windows(records):
    """Return station → array (windows, samples), from the first full ten seconds of UTC on."""
    cut = {}
    for station, trace in records.items():
        begin = trace.stats.starttime.timestamp
        skipped = round((-begin % SECONDS) * RATE)
        samples = trace.data[skipped:]
        full = len(samples) // (RATE * SECONDS)
        cut[station] = samples[: full * RATE * SECONDS].reshape(full, -1)
    return cut


@pytest.fixture(scope="module")
def outputs(run_stateful):
    return run_stateful(seismology.graph)


def by(outputs, pe, field):
    return {item[field]: item for item in outputs[pe]["output"]}


def test_picks_are_those_of_the_whole_records(outputs, records):
    expected = []
    for station, trace in records.items():
        ratio = recursive_sta_lta_py(trace.data, 25, 500)
        for start, end in trigger_onset(ratio, 3.5, 1.0):
            time = str(trace.stats.starttime + start / RATE)
            expected.append((station, time, (end - start) / RATE))
    found = [(p["station"], p["time"], p["seconds"]) for p in outputs["Pick2"]["output"]]
    assert sorted(found) == sorted(expected)
    assert {station for station, _, _ in found} == {"UH1", "UH2", "UH3", "UH4"}


def test_spectra_are_those_of_welch(outputs, windows):
    spectra = by(outputs, "Spectrum4", "station")
    assert spectra.keys() == windows.keys()
    window = np.hanning(RATE * SECONDS)
    for station, samples in windows.items():
        frequencies, power = welch(
            samples.ravel(), RATE, window, noverlap=0, detrend=False, scaling="spectrum"
        )
        np.testing.assert_allclose(spectra[station]["frequencies"], frequencies)
        # Welch's are one-sided, and relative to the window's sum.
        power[1:-1] /= 2
        np.testing.assert_allclose(spectra[station]["power"], power * window.sum() ** 2)


def test_stacks_are_mean_correlations_of_pairs(outputs, windows):
    stacks = by(outputs, "Stack6", "pair")
    pairs = list(itertools.combinations(sorted(windows), 2))
    assert stacks.keys() == {f"{a}-{b}" for a, b in pairs}
    for a, b in pairs:
        correlations = []
        for pair in zip(windows[a], windows[b], strict=True):
            one, other = (samples - samples.mean() for samples in pair)
            full = np.correlate(one, other, "full") / np.sqrt(sum(one**2) * sum(other**2))
            middle = len(one) - 1
            correlations.append(full[middle - LAG : middle + LAG + 1])
        stack = np.mean(correlations, axis=0)
        np.testing.assert_allclose(stacks[f"{a}-{b}"]["stack"], stack, atol=1e-9)
        assert stacks[f"{a}-{b}"]["lag"] == (np.argmax(stack) - LAG) / RATE


def test_miniseed_files_of_two_days_are_read(tmp_path):
    """The second day repeats the first, so means stay, and there are twice as many picks."""
    for trace in obspy.read(seismology.SAMPLE):
        trace.write(f"{tmp_path}/{trace.id}.first.mseed", "MSEED")
        trace.stats.starttime += 86400
        trace.write(f"{tmp_path}/{trace.id}.second.mseed", "MSEED")
    days = [{"files": f"{tmp_path}/*.{day}.mseed"} for day in ("first", "second")]
    both = run(seismology.graph, inputs=days).outputs
    once = run(seismology.graph).outputs
    stacks = by(both, "Stack6", "pair")
    assert len(stacks) == 6
    for pair, stack in by(once, "Stack6", "pair").items():
        np.testing.assert_allclose(stacks[pair]["stack"], stack["stack"], atol=1e-9)
    assert len(both["Pick2"]["output"]) == 2 * len(once["Pick2"]["output"])


def test_sac_files_of_either_byte_order_are_read_alike(tmp_path):
    for trace in obspy.read(seismology.SAMPLE):
        for name, order in (("little", "<"), ("big", ">")):
            trace.write(f"{tmp_path}/{trace.id}.{name}.sac", "SAC", byteorder=order)
    little, big = (
        run(seismology.graph, inputs=[{"files": f"{tmp_path}/*.{name}.sac"}]).outputs
        for name in ("little", "big")
    )
    assert big["Pick2"]["output"] == little["Pick2"]["output"] != []


@pytest.mark.skipif(not (shutil.which("dot") or "CI" in os.environ), reason="no dot here")
def test_the_command_for_pictures_draws_the_graph_and_the_results(tmp_path):
    main([str(tmp_path), "--only", "seismology"])
    assert "Correlate" in (tmp_path / "seismology-graph.svg").read_text()
    assert imread(tmp_path / "seismology.png").std() > 0.05
