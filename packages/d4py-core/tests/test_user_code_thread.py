"""Threads of d4py's own in which code of users is called."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.user_code_thread import UserCodeThread
from dispel4py.processes.workers.exiting import running_threads

#: A program whose thread goes on for an hour, and has started one that ends soon.
PROGRAM = """
import threading, time
from dispel4py.processes.user_code_thread import UserCodeThread

started = threading.Event()

def late():
    time.sleep(0.2)
    print("late", flush=True)

def begin():
    threading.Thread(target=late).start()
    started.set()
    time.sleep(3600)

UserCodeThread(target=begin, daemon=True).start()
started.wait()
"""


def test_i10_a_program_waits_for_its_threads_and_not_for_itself():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout == "late\n"


def test_one_that_was_abandoned_and_one_that_has_ended_are_daemons():
    left, found = threading.Event(), []

    def begin():
        found.append(threading.Thread().daemon)
        left.wait()
        found.append(threading.Thread().daemon)

    thread = UserCodeThread(target=begin, daemon=True)
    thread.start()
    while not found:
        thread.join(0.01)
    thread.abandon()
    left.set()
    thread.join()
    assert found == [False, True]
    assert thread.daemon


def test_one_is_no_thread_that_a_pe_has_left():
    began, left = threading.Event(), threading.Event()

    def begin():
        began.set()
        left.wait()

    thread = UserCodeThread(target=begin, name="d4py-user-code", daemon=True)
    thread.start()
    began.wait()
    names = running_threads()
    left.set()
    thread.join()
    assert "d4py-user-code" not in names


def test_i10_it_waits_for_what_its_threads_and_the_pools_of_a_pe_do():
    may_end, done, logged = threading.Event(), [], []

    def work(name):
        may_end.wait()
        done.append(name)

    def start_another():
        threading.Thread(target=work, args=["of a thread of its own"]).start()
        work("of its own")

    def begin():
        threading.Thread(target=start_another).start()
        ThreadPoolExecutor(1).submit(work, "of a pool")
        kept_by_itself = [ThreadPoolExecutor(1)]
        kept_by_itself[0].submit(work, "of a pool in a cycle")
        kept_by_itself.append(kept_by_itself)
        del kept_by_itself
        waits.set()
        thread.join_started(logged.append)
        done.append("all")

    waits = threading.Event()
    thread = UserCodeThread(target=begin, daemon=True)
    thread.start()
    waits.wait()
    assert done == []
    may_end.set()
    thread.join()
    assert done[-1] == "all"
    names = ["of a pool", "of a pool in a cycle", "of a thread of its own", "of its own"]
    assert sorted(done[:-1]) == names


def test_it_waits_neither_for_daemons_nor_for_threads_of_others_nor_for_a_pool_in_use():
    may_end, pool, logged = threading.Event(), ThreadPoolExecutor(1), []

    def begin():
        threading.Thread(target=may_end.wait, daemon=True).start()
        pool.submit(int).result()
        thread.join_started(logged.append)

    other = threading.Thread(target=may_end.wait)
    other.start()
    thread = UserCodeThread(target=begin, daemon=True)
    thread.start()
    thread.join()
    assert other.is_alive()
    may_end.set()
    other.join()
    pool.shutdown()


def test_i10_threads_that_take_long_are_logged_once():
    may_end, logged = threading.Event(), []

    def log(text):
        logged.append(text)
        may_end.set()

    def begin():
        threading.Thread(target=may_end.wait, name="uploads").start()
        thread.join_started(log, ProcessLimits(slow_exit_seconds=0.0))

    thread = UserCodeThread(target=begin, daemon=True)
    thread.start()
    thread.join()
    assert logged == ["all items are done; its thread 'uploads' still runs"]
