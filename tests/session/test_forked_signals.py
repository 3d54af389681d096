"""`repro_hydra.forked_signals`: a forked child that is told to end ends, also where Python could not run a handler."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked there")

SCRIPT = """
import itertools, os, signal
from repro_hydra.checkpoint.preemption import listening
from repro_hydra.session.ending import Terminated, terminating

def ended_by_term():
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends it where TERM does not
        # Tells from within C, and never comes back to the interpreter: as a worker that waits for a lock.
        sum(itertools.chain(map(os.write, [tell], [b"x"]), itertools.repeat(1)))
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
"""


def told(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(source)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_child_in_c_code_ends_by_the_signal() -> None:
    """As the workers of a pool do, which its parent tells to end and then joins; within each of our handlers."""
    assert (
        told(
            """
            with terminating():
                first = ended_by_term()
                with listening():
                    second = ended_by_term()
            print(first, second, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
            """
        )
        == "15 15 True"
    )


def test_the_process_itself_keeps_its_handler_and_its_mask() -> None:
    """Forking changes nothing in the parent: TERM still unwinds it, what was blocked stays so and nothing more is."""
    assert (
        told(
            """
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            try:
                with terminating():
                    ended_by_term()
                    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
                    os.kill(os.getpid(), signal.SIGTERM)
                    sum(range(10**6))
            except Terminated:
                print(mask == {signal.SIGUSR1})
            """
        )
        == "True"
    )


def test_a_childs_own_handler_and_its_children_are_its_own() -> None:
    """After the fork a child may handle the signal as it likes; what it forks has what it has."""
    assert (
        told(
            """
            def own():
                signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGUSR1))
                os.write(tell, b"x")
                while True:
                    signal.pause()

            with terminating():
                ready, tell = os.pipe()
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    own()
                os.read(ready, 1)
                os.kill(child, signal.SIGTERM)
                print(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGUSR1)
            """
        )
        == "True"
    )


@pytest.mark.parametrize("handled", ["terminating()", "requeued_when_taken_back('.')"])
def test_a_signal_that_comes_while_the_process_forks_is_not_lost(handled: str) -> None:
    """What is raised within the hooks of a fork is ignored by Python: the job would go on, and hear of it no more."""
    assert (
        told(
            f"""
            import time
            from repro_hydra.launcher.preemption import requeued_when_taken_back
            os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))  # runs after ours, in its window
            try:
                with {handled}:
                    if os.fork() == 0:
                        os._exit(0)
                    time.sleep(60)
                    print("lost")
            except Terminated:
                print("told")
            """
        )
        == "told"
    )


@pytest.mark.parametrize("handled", ["terminating()", "listening()"])
def test_a_child_whose_own_handler_calls_ours_ends(handled: str) -> None:
    """The usual way to chain handlers leads into the parent's, which must neither swallow the signal nor unwind."""
    assert (
        told(
            f"""
            with {handled}:
                before = signal.getsignal(signal.SIGTERM)
                signal.signal(signal.SIGTERM, lambda number, frame: before(number, frame))
                ready, tell = os.pipe()
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    os.write(tell, b"x")
                    while True:
                        signal.pause()
                os.read(ready, 1)
                os.kill(child, signal.SIGTERM)
                print(os.WTERMSIG(os.waitpid(child, 0)[1]))
                signal.signal(signal.SIGTERM, before)
            """
        )
        == "15"
    )
