from __future__ import annotations

import os
import threading

from appliance.inference.yielding import give_way


def test_a_thread_that_gives_way_takes_its_children_along_and_no_one_else() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found: list[int] = []

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def child() -> None:
        found.append(niceness())

    def parent() -> None:
        give_way()
        found.append(niceness())
        below = threading.Thread(target=child)
        below.start()
        below.join()

    thread = threading.Thread(target=parent)
    thread.start()
    thread.join()
    assert found == [5, 5]
    assert niceness() == before
