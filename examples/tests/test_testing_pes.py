"""The PEs of graph_testing, one by one."""

import subprocess
import sys

from d4py_examples.graph_testing import testing_PEs as pes
from dispel4py import WorkflowGraph, run


def give(pe, inputs):
    """What a PE gives as the only one of a graph."""
    graph = WorkflowGraph()
    graph.add(pe)
    return run(graph, inputs=inputs).outputs.get(f"{pe.name}0", {})


def feed(pe, items, port="input"):
    return give(pe, [{port: item} for item in items]).get("output", [])


def test_test_producer_counts_on_every_output():
    assert give(pes.TestProducer(), 3) == {"output": [1, 2, 3]}
    assert give(pes.TestProducer(2), 2) == {"output0": [1, 2], "output1": [1, 2]}


def test_number_producer_writes_lists_of_one_number():
    assert give(pes.NumberProducer(3), 2) == {"output": [[0], [1], [2], [0], [2], [4]]}


def test_integer_producer_writes_a_range():
    assert give(pes.IntegerProducer(2, 5), 2) == {"output": [2, 3, 4, 2, 3, 4]}


def test_multi_producer_writes_ten_numbers():
    assert give(pes.TestMultiProducer(), 1) == {"output": [*range(10)]}
    assert give(pes.TestMultiProducer(num_output=2), 2) == {"output": [0, 1, 0, 1]}


def test_copying_pes_copy():
    for pe in (
        pes.TestOneInOneOut(),
        pes.TestOneInOneOutWriter(),
        pes.TestIterative(),
        pes.TestDelayOneInOneOut(delay=0),
    ):
        assert feed(pe, [1, ["a"], ""]) == [1, ["a"], ""]


def test_two_in_one_out_sends_text():
    assert give(pes.TestTwoInOneOut(), [{"input0": 1}, {"input1": "a"}]) == {"output": ["1", "a"]}


def test_delay_is_a_second_unless_said_otherwise():
    assert pes.TestDelayOneInOneOut().delay == 1


def test_types_are_handed_on():
    producer, copy, counter = pes.RandomWordProducer(), pes.TestOneInOneOut(), pes.WordCounter()
    graph = WorkflowGraph()
    graph.connect(producer, "output", copy, "input")
    graph.connect(copy, "output", counter, "input")
    graph.propagate_types()
    assert copy.get_output_types() == {"output": ["word"]}
    assert counter.get_output_types() == {"output": ["word", "count"]}


def test_word_counter_counts_per_word():
    words = [["a"], ["b"], ["a"]]
    assert feed(pes.WordCounter(), words) == [["a", 1], ["b", 1], ["a", 2]]


def test_random_words_depend_on_the_seed_alone():
    first = give(pes.RandomWordProducer(seed=3), 20)["output"]
    assert first == give(pes.RandomWordProducer(seed=3), 20)["output"]
    assert first != give(pes.RandomWordProducer(seed=4), 20)["output"]
    assert {len(item) for item in first} == {1}
    assert {item[0] for item in give(pes.RandomWordProducer(), 100)["output"]} == set(
        pes.RandomWordProducer.words
    )


def test_random_filter_lets_about_half_of_all_values_through():
    kept = feed(pes.RandomFilter(seed=5), range(1000))
    assert 450 < len(kept) < 550


def test_random_filter_forgets_what_came_before():
    kept = feed(pes.RandomFilter(), range(50))
    assert feed(pes.RandomFilter(), reversed(range(50))) == kept[::-1]
    for seed in (0, 1):
        words = [[word] for word in pes.RandomWordProducer.words]
        assert len(feed(pes.RandomFilter(seed), words)) == 4


def test_random_ones_do_not_depend_on_hash_randomization(tmp_path):
    code = """
from d4py_examples.graph_testing.testing_PEs import RandomFilter, RandomWordProducer
producer, filter = RandomWordProducer(), RandomFilter()
print([filter._process(producer._process({})) for _ in range(30)])
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_print_data_consumer_prints(capsys):
    feed(pes.PrintDataConsumer(), ["a", [1]])
    assert capsys.readouterr().out == "a\n[1]\n"


def test_provenance_logger_logs(caplog):
    with caplog.at_level("INFO"):
        feed(pes.ProvenanceLogger(), [{"a": 1}], port="metadata")
    assert "Logging metadata: {'a': 1}" in caplog.text
