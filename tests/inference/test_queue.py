from __future__ import annotations

import threading

from appliance.inference.queue import InferenceQueue, Job
from appliance.scan.slabs import Slab
from tests.scan.strategies import header

GEOMETRY = header(0.0).geometry


def job(scan: str, target: str, urgency: int = 0, context: str = "") -> Job:
    return Job(scan, Slab("lesion", target, (target + context,)), GEOMETRY, urgency)


def test_most_urgent_first_then_first_come_first_served() -> None:
    queue = InferenceQueue()
    for item in (job("a", "1"), job("b", "1", 3), job("a", "2"), job("b", "2", 3)):
        queue.put(item)
    taken = [(item.scan_id, item.slab.target) for item in queue.take(10)]
    assert taken == [("b", "1"), ("b", "2"), ("a", "1"), ("a", "2")]


def test_a_batch_is_shared_by_scans_and_bounded() -> None:
    queue = InferenceQueue()
    for item in (job("a", "1"), job("b", "1"), job("a", "2")):
        queue.put(item)
    assert [item.scan_id for item in queue.take(2)] == ["a", "b"]
    assert len(queue) == 1


def test_a_newer_job_replaces_the_older_one_of_its_slice() -> None:
    queue = InferenceQueue()
    queue.put(job("a", "1", context="old"))
    queue.put(job("a", "1", context="new"))
    assert len(queue) == 1
    assert [item.slab.planes for item in queue.take(5)] == [("1new",)]


def test_replaced_jobs_do_not_pile_up() -> None:
    queue = InferenceQueue()
    for number in range(1000):
        queue.put(job("a", "1", context=str(number)))
    assert len(queue) == 1
    assert len(queue._heap) < 100


def test_a_forgotten_scan_leaves_no_job() -> None:
    queue = InferenceQueue()
    for item in (job("a", "1"), job("b", "1"), job("a", "2")):
        queue.put(item)
    queue.forget("a")
    assert [item.scan_id for item in queue.take(5)] == ["b"]


def test_closing_wakes_who_waits() -> None:
    queue = InferenceQueue()
    taken: list[list[Job]] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take(1)))
    waiter.start()
    queue.close()
    waiter.join(5)
    assert taken == [[]]


def test_taking_gives_up_after_its_time() -> None:
    assert InferenceQueue().take(1, timeout_s=0.01) == []


def test_what_is_given_back_is_taken_first_of_its_urgency_and_in_its_order() -> None:
    queue = InferenceQueue()
    for item in (job("a", "1"), job("a", "2"), job("a", "3"), job("b", "1", 3)):
        queue.put(item)
    urgent, *routine = queue.take(3)
    queue.put(job("b", "2", 3))
    queue.give_back([*routine, urgent])
    assert len(queue) == 5
    taken = [(item.scan_id, item.slab.target) for item in queue.take(10)]
    assert taken == [("b", "1"), ("b", "2"), ("a", "1"), ("a", "2"), ("a", "3")]


def test_what_is_given_back_does_not_replace_what_is_newer() -> None:
    queue = InferenceQueue()
    queue.put(job("a", "1", context="old"))
    old = queue.take(1)
    queue.put(job("a", "1", context="new"))
    queue.give_back(old)
    assert [item.slab.planes for item in queue.take(5)] == [("1new",)]
    assert len(queue) == 0


def test_nothing_is_given_back_to_a_closed_queue() -> None:
    queue = InferenceQueue()
    queue.put(job("a", "1"))
    taken = queue.take(1)
    queue.close()
    queue.give_back(taken)
    assert queue.take(5) == []
