"""A part's function in a process of its own: a GPU that fails in it costs no other part."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context

from tests.gpu.check.parts import Choice, Found


def apart(module: str, name: str) -> Callable[[Choice], Found]:
    """The function of a module, which is imported there: another part's packages may be missing.

    It raises what the function raises, and BrokenProcessPool when its process dies.
    """

    def run(choice: Choice) -> Found:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(_call, module, name, choice).result()

    return run


def _call(module: str, name: str, choice: Choice) -> Found:
    function: Callable[[Choice], Found] = getattr(import_module(module), name)
    return function(choice)
