"""Rows of the table *Bad input* in DESIGN.md: what shows the messages of each."""

import dispel4py as d4py

IMPORTS = """\
import os, sys, threading
from dispel4py import BasePE, ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph
graph = WorkflowGraph()
"""
COUNT = """\
class Count(ProducerPE):
    n = 0
    def _process(self, inputs):
        self.n += 1
        return self.n
"""


def two(second, body, first=COUNT, connect="graph.connect(Count(), 'output', Second(), 'input')"):
    """Return a workflow whose second PE is of the given base class and has the given body."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return f"{IMPORTS}{first}class Second({second}):\n{lines}{connect}\n"


GOOD = two("IterativePE", "def _process(self, data):\n    return data")
HELD = "def __init__(self):\n    super().__init__()\n    self.held = {}\n"

#: Row of DESIGN.md → workflow and command line, for each message of it.  The command runs in the
#: tests' process; where a process of its own is needed, the line begins with ``!``.
CASES = {
    "unknown mapping": [(GOOD, "simpel wf.py"), (GOOD, "qwertyuiop wf.py")],
    "no such workflow; it raises at import; no graph in it, or several": [
        (GOOD, "simple wff.py"),
        (GOOD, "simple no.such.module"),
        ("def f():\n    return 1 / 0\nf()\n", "simple wf.py"),
        ("x = 1\nif x\n", "simple wf.py"),
        ("x = 1", "simple wf.py"),
        (GOOD + "other = WorkflowGraph()\n", "simple wf.py"),
        (GOOD, "simple wf.py -a grpah"),
    ],
    "a workflow that exits at import, as argparse has it for a wrong argument": [
        (
            "import argparse\nparser = argparse.ArgumentParser()\n"
            "parser.add_argument('--station', required=True)\nparser.parse_args()\n",
            "simple wf.py",
        ),
        ("raise SystemExit('no data today')\n", "simple wf.py"),
        ("raise SystemExit\n", "simple wf.py"),
    ],
    "`-d`, `-f` not JSON, not an object, names no root": [
        (GOOD, 'simple wf.py -d {"Count0":["a.csv"]}'),
        (GOOD, "simple wf.py -d {"),
        (GOOD, "simple wf.py -d [1]"),
        (GOOD, "simple wf.py -f no.json"),
        (GOOD, 'simple wf.py -d {"Cuont0":3}'),
        (GOOD, 'simple wf.py -d {"Count0":-1}'),
        (GOOD, 'simple wf.py -d {"Count0":"x"}'),
    ],
    "`-d`, `-f` with a name twice in one object": [
        (GOOD, 'simple wf.py -d {"Count0":1,"Count0":2}'),
    ],
    "`-d`, `-f` name a root twice, by its name and its id": [
        (GOOD, 'simple wf.py -d {"Count":1,"Count0":2}'),
    ],
    "`-d`, `-f` name something that is no root, beside a root": [
        (GOOD, 'simple wf.py -d {"Count0":1,"Second1":1} -q')
    ],
    "`--seed` outside 0 to 2**64 - 1": [
        (GOOD, "simple wf.py --seed=-1"),
        (GOOD, f"simple wf.py --seed={1 << 64}"),
    ],
    "undeclared state, or one file written by several instances, under `--strict`": [
        (
            two(
                "IterativePE",
                "n = 0\ndef _process(self, data):\n    self.n += 1\n    return self.n",
            ),
            "simple wf.py -i 9 --strict",
        ),
        (
            two(
                "ConsumerPE",
                "def __init__(self):\n    super().__init__()\n    self.numprocesses = 2\n"
                "def preprocess(self):\n    self.file = open('out.txt', 'w')\n"
                "def _process(self, data):\n    print(data, file=self.file)\n"
                "def postprocess(self):\n    self.file.close()",
            ),
            "simple wf.py -i 9 --strict",
        ),
    ],
    "unknown port, cycle, unconnected input, two PEs of one id, empty graph": [
        (
            f"{IMPORTS}a, b, c = ProducerPE(), IterativePE(), BasePE(['left', 'right'], ['out'])\n"
            "graph.connect(a, 'outptu', b, 'input')\ngraph.connect(b, 'output', c, 'left')\n",
            "simple wf.py",
        ),
        (
            f"{IMPORTS}a, b = IterativePE(), IterativePE()\n"
            "graph.connect(a, 'output', b, 'input')\ngraph.connect(b, 'output', a, 'input')\n",
            "simple wf.py",
        ),
        (
            f"{IMPORTS}pes = [ProducerPE() for _ in range(12)]\n"
            "pes[1].name, pes[11].name = 'A1', 'A'\nfor pe in pes:\n    graph.add(pe)\n",
            "simple wf.py",
        ),
        (IMPORTS, "simple wf.py"),
    ],
    "`independent_calls` together with `single` or `stateful` on a root": [
        (
            f"{IMPORTS}root = ProducerPE()\nroot.independent_calls = root.single = True\n"
            "graph.add(root)\n",
            "simple wf.py",
        )
    ],
    "`-n` below 1": [(GOOD, "multi wf.py -n 0"), (GOOD, "multi wf.py -n many")],
    "every call of a PE fails where errors are skipped": [
        (
            two("IterativePE", "def _process(self, data):\n    raise ValueError('no such day')"),
            "simple wf.py -i 3 --on-error skip",
        )
    ],
    "a result that the format of `--output` cannot hold": [
        (
            two(
                "IterativePE",
                "def _process(self, data):\n    return Table()",
                first=COUNT + "class Table:\n    __array__ = None\n",
            ),
            "simple wf.py --output out.jsonl",
        ),
        (
            two("IterativePE", "def _process(self, data):\n    return {'rms': float('nan')}"),
            "simple wf.py --output out.jsonl",
        ),
        (
            two("IterativePE", "def _process(self, data):\n    return data if data < 3 else '3'"),
            "simple wf.py -i 3 --output out.csv",
        ),
    ],
    "an ending of `--output` that is not known, a library that it needs, another run that writes to"
    " the file": [
        (GOOD, "simple wf.py --output out.xlsx"),
        (GOOD, "simple wf.py --output nowhere/out.jsonl"),
    ],
    "an item or PE that cannot be pickled": [
        (two("IterativePE", HELD.format("threading.Lock()")), "multi wf.py"),
        (
            two(
                "IterativePE",
                "def _process(self, data):\n    return data",
                first=COUNT.replace("return self.n", "return [threading.Lock()]"),
            ),
            "!multi wf.py -n 2",
        ),
    ],
    "a PE, or an item, that holds an open file": [
        (two("IterativePE", HELD.format("open(__file__)")), "!multi wf.py"),
        (two("IterativePE", HELD.format("open('notes.txt', 'w')")), "!simple wf.py"),
    ],
    "an ordered input together with `item_ids`, `independent_calls` or `seeks` on the way to it": [
        (
            two(
                "GenericPE",
                "item_ids = True\ndef __init__(self):\n    super().__init__()\n"
                "    self._add_input('input', ordered=True)",
            ),
            "simple wf.py",
        )
    ],
    "a method with a yield, `async def` or wrong arguments": [
        (two("IterativePE", "def _process(self, data):\n    yield data"), "simple wf.py"),
        (two("IterativePE", "async def _process(self, data):\n    return data"), "simple wf.py"),
        (two("IterativePE", "def _process(self):\n    return 1"), "simple wf.py"),
    ],
    "a PE that got items and sent none": [
        (
            two("IterativePE", "def _process(self, data):\n    data * 2")
            + "graph.connect(graph.get_contained_objects()[1], 'output', IterativePE(), 'input')\n",
            "simple wf.py -i 3",
        )
    ],
    "a dict of data from process()": [
        (
            two(
                "GenericPE",
                "INPUT_NAME = 'input'\n"
                + HELD.format("None")
                + (
                    "    self._add_input('input')\n    self._add_output('output')\n"
                    "def process(self, inputs):\n    return {'day': 1}"
                ),
            ),
            "simple wf.py",
        )
    ],
    "a workflow in place of the mapping; a misspelt command or option": [
        (GOOD, "wf.py -i 3"),
        (GOOD, "wf.py multi -n 2"),
        (GOOD, "chekc wf.py"),
        (GOOD, "simple wf.py --iterations 3"),
        (GOOD, "simple wf.py -ct 10"),
        (GOOD, "simple wf.py more"),
        (GOOD, "-i 3 simple wf.py"),
        (GOOD, "simple"),
        (GOOD, "simple wf.py -i 1.5"),
        (GOOD, "simple wf.py -i -1"),
    ],
    "a mapping of other versions (spark, storm)": [
        (GOOD, "spark wf.py"),
    ],
    "`batch_size` below 1, `batch_seconds` below 0; `_process_batch()` together with `seeks`,"
    " or with a `process()` of its own": [
        (
            two(
                "IterativePE",
                "batch_size = 0\nbatch_seconds = -1\nseeks = True\n"
                "def process(self, inputs):\n    pass\n"
                "def _process_batch(self, items):\n    return items",
            ),
            "simple wf.py",
        )
    ],
    "`_process_batch()` returns another length or type": [
        (
            two("IterativePE", f"def _process_batch(self, items):\n    return {returned}"),
            "simple wf.py -i 1 -q",
        )
        for returned in ("[*items, 5]", "{'output': 5}")
    ],
    "a PE reads standard input in a worker": [
        (
            two("IterativePE", "def _process(self, data):\n    return sys.stdin.readline()"),
            "!multi wf.py -n 2 -q",
        )
    ],
    "a full disk where PEs print; standard output closed by its reader": [
        (
            two("IterativePE", "def _process(self, data):\n    print('x', flush=True)"),
            "!simple wf.py >/dev/full",
        )
    ],
    "`--start-timeout` not above 0, `--frozen-timeout` below 0": [
        (GOOD, "multi wf.py --start-timeout 0"),
        (GOOD, "multi wf.py --frozen-timeout=-1"),
    ],
    "a group key that cannot be read or hashed, or whose type has an `__eq__` of its own": [
        (
            two(
                "ConsumerPE",
                "def __init__(self):\n    super().__init__()\n    self.numprocesses = 2\n"
                f"    self._add_input('input', grouping=[{key}])\n"
                "def _process(self, data):\n    pass",
                first=f"""{IMPORTS}
class Own:
    def __eq__(self, other):
        return True
    __hash__ = object.__hash__
class Count(ProducerPE):
    def _process(self, inputs):
        return {{'name': ['x'], 'own': Own()}}
""",
            ),
            "simple wf.py",
        )
        for key in ("'town'", "'own'")
    ],
    "a PE writes in a process that it has forked, returns or raises there": [
        (
            two(
                "IterativePE",
                "def _process(self, data):\n    if os.fork() == 0:\n"
                "        self.write('output', 1)\n    os.wait()\n    return 2",
            ),
            "!simple wf.py -q",
        )
    ],
    "disk full at the end of an instance": [
        (
            two(
                "ConsumerPE",
                "def preprocess(self):\n    self.file = open('/dev/full', 'w')\n"
                "def _process(self, data):\n    print(data, file=self.file)",
            ),
            "simple wf.py",
        )
    ],
    "a thread of a PE raises, or its worker is killed while it runs": [
        (
            two(
                "ConsumerPE",
                "def _process(self, data):\n"
                "    threading.Thread(target=lambda: 1 / 0, name='reader').start()",
            ),
            "!multi wf.py -n 2",
        )
    ],
    "no mpiexec; too few slots; more `-n` than mpiexec has started": [
        (GOOD, "mpi wf.py --mpiexec ./nowhere")
    ],
    "no Redis at the address given; wrong password; server gone or full": [
        (GOOD, "hybrid_redis wf.py -ri 127.0.0.1 -rp 1")
    ],
    "a Redis URL that cannot be read, or with a setting that cannot be": [
        (GOOD, "hybrid_redis wf.py --redis-url host:6379"),
        (GOOD, "hybrid_redis wf.py --redis-url redis://user:pa#ss@host:6379"),
        (GOOD, "hybrid_redis wf.py --redis-url redis://host:6379?socket_timeout=soon"),
    ],
    "a key that is missing, too short, wrong, or in a file that others can read; other versions of"
    " Python or d4py where a worker joins": [
        (GOOD, "worker --redis-url redis://127.0.0.1:1"),
        (GOOD, "worker --redis-url redis://127.0.0.1:1 --key-file wf.py"),
    ],
}

#: Row of DESIGN.md → what the Python API is called with.
CALLS = {
    "run() with no graph, mapping or option that can be": {
        "run(ProducerPE(), 'simple')": lambda: d4py.run(d4py.ProducerPE(), "simple"),
        "run(graph, 3)": lambda: d4py.run(one(), 3),
        "run(graph, 'simpel')": lambda: d4py.run(one(), "simpel"),
        "run(graph, 'simple', iterations=3)": lambda: d4py.run(one(), "simple", iterations=3),
        "run(graph, 'simple', processes='3')": lambda: d4py.run(one(), "simple", processes="3"),
        "run(graph, 'simple', on_error='ignore')": lambda: d4py.run(
            one(), "simple", on_error="ignore"
        ),
        "run(graph, 'simple', seed=-1)": lambda: d4py.run(one(), "simple", seed=-1),
        "run(graph, 'simple', -1)": lambda: d4py.run(one(), "simple", -1),
    }
}

#: Row of DESIGN.md → the test that has its message, where that takes a server, launcher or limit.
ELSEWHERE = {
    "a file that a PE was reading is gone, replaced or shorter where its state is opened": (
        "test_i9_a_file_that_has_changed_is_an_error"
    ),
    "a thread of a PE writes between two calls (dyn_*, hybrid_redis)": (
        "test_i5_where_calls_are_settled_it_is_refused_and_the_run_fails"
    ),
    "connections to a Redis server that are made again, and break again before an answer": (
        "test_c5_results_are_counted_for_as_long_as_reconnect_says"
    ),
    "a worker does not begin within `--start-timeout`": (
        "test_a_worker_that_does_not_begin_is_killed"
    ),
    "`--watchable` without a key, or on a private server; `dispel4py ui` of a run without it, or of"
    " a file that is no log": "test_a_run_that_cannot_be_watched_is_refused",
    "`dispel4py report` of a file that is no log of one run, or without Bokeh": (
        "test_what_is_no_log_is_refused"
    ),
    "`--report`, `--trace`, `--ui`, `--provenance` where a library is missing, or the file, folder"
    " or port cannot be used": "test_a_file_that_cannot_be_written_is_refused",
    "no processes on this platform": (
        "test_on_a_platform_without_processes_the_error_names_the_mapping_simple"
    ),
    "observers, a record or `--progress` where there are no threads": (
        "test_without_threads_observers_are_refused"
    ),
    "a FILE.partial of another program beside the file of `--output`": (
        "test_files_of_other_programs_beside_it_stay"
    ),
    "two results whose names make one array (`.npz`, `.h5`)": "test_arrays_of_one_name_are_refused",
    "the current folder was removed, where it is needed": "test_one_that_was_removed_is_named",
    "an item that cannot be unpickled in the process that receives it": (
        "test_c3_of_a_task_its_senders_and_its_receiver_are_named"
    ),
    "no more processes allowed": "test_a_failed_start_is_reported_with_advice",
    "a worker is stopped (SIGSTOP)": "test_c5_a_stopped_worker_is_reported",
    "a program left running by a PE": "test_c4_a_program_left_running_too_long_is_ended_and_logged",
    "MPI ranks that do not come": "test_the_missing_ranks_are_named",
    "srun without PMI": "test_tasks_of_srun_that_are_no_ranks_are_refused",
    "several tasks of srun that would write one `--output`": (
        "test_several_tasks_of_srun_do_not_write_one_file"
    ),
    "mpiexec and MPI library of different kinds": "test_an_mpiexec_of_another_mpi_is_refused",
    "mpi4py without an MPI library, or with a `MPI4PY_MPIABI` that none fits": (
        "test_a_setting_of_mpi4py_that_no_library_fits_is_refused"
    ),
    "mpi: an unpicklable PE with several instances in one rank": (
        "test_several_instances_in_one_process_are_refused"
    ),
    "a run to resume whose driver lives, or that is not resumable": (
        "test_h2_a_run_whose_driver_is_alive_is_not_resumed"
    ),
    "Redis server frozen": "test_a_server_that_never_answers_is_reported",
    "a Sentinel without the name of a primary, a replica, or a server without HELLO or scripts": (
        "test_errors_of_the_library_become_service_errors"
    ),
    "a Redis user without rights; TLS with an unknown authority, or on one side alone": (
        "test_a_certificate_of_an_unknown_authority_is_reported"
    ),
    "a primary is replaced by a replica that lacks writes which were confirmed": (
        "test_c5_a_failover_that_drops_writes_is_an_error_or_has_no_effect"
    ),
    "an item or input larger than the server takes": (
        "test_m2_an_item_that_is_too_large_is_refused_by_its_size"
    ),
    "too few open files for `-n`": "test_too_few_open_files_for_the_workers_are_reported",
    "no short folder for sockets": "test_without_a_short_path_the_error_names_TMPDIR",
    "no more memory, threads or files for d4py itself": (
        "test_what_the_system_refuses_is_named_with_the_limit"
    ),
    "no run to join; the run's driver is dead": (
        "test_a_run_that_has_ended_cannot_be_joined_and_is_not_created_again"
    ),
    "a full disk where `--log`, `--report`, `--trace`, `--run-dir` or `--provenance` is written": (
        "test_the_results_survive_and_what_is_missing_is_named"
    ),
    "foreign bytes on a stream": "test_foreign_bytes_are_dropped_and_reported_and_never_unpickled",
}


def one():
    graph = d4py.WorkflowGraph()
    graph.add(d4py.ProducerPE())
    return graph
