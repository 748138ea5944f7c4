"""Batches on several threads: each with its result, in order, no more at once than asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from assets import settings
from assets.engine import map_batches


def batches(count: int, read: list[int] | None = None) -> Iterator[pa.Table]:
    for number in range(count):
        if read is not None:
            read.append(number)
        yield pa.table({"number": [number]})


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_each_batch_comes_back_beside_its_result_in_order(workers: int) -> None:
    def slower_first(batch: pa.Table) -> pa.Table:
        number = batch["number"][0].as_py()
        time.sleep(0.02 if number % 3 == 0 else 0)
        return pa.table({"twice": [2 * number]})

    done = list(map_batches(slower_first, batches(20), workers=workers))
    assert [batch["number"][0].as_py() for batch, _ in done] == list(range(20))
    assert [result["twice"][0].as_py() for _, result in done] == list(range(0, 40, 2))


def test_what_is_read_ahead_is_bounded() -> None:
    read: list[int] = []
    done = map_batches(lambda batch: batch, batches(100, read), workers=2)
    next(done)
    assert len(read) <= 6
    next(done)
    assert len(read) <= 7


def test_no_more_at_once_than_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def counted(batch: pa.Table) -> pa.Table:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return batch

    assert len(list(map_batches(counted, batches(12), workers=3))) == 12
    assert most <= 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_reaches_who_asked(workers: int) -> None:
    def fails(batch: pa.Table) -> pa.Table:
        if batch["number"][0].as_py() == 3:
            raise ValueError("the third")
        return batch

    done = []
    with pytest.raises(ValueError, match="the third"):
        for _, result in map_batches(fails, batches(9), workers=workers):
            done.append(result)
    assert len(done) == 3


def test_an_engine_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="no engine 'spark'; there are native, ray"):
        list(map_batches(lambda batch: batch, batches(1), runner="spark"))


def test_the_environment_says_what_measuring_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINNOW_ENGINE", raising=False)
    monkeypatch.delenv("WINNOW_WORKERS", raising=False)
    assert (settings.engine(), settings.workers()) == ("native", 1)
    monkeypatch.setenv("WINNOW_ENGINE", "ray")
    monkeypatch.setenv("WINNOW_WORKERS", "4")
    assert (settings.engine(), settings.workers()) == ("ray", 4)
    monkeypatch.setenv("WINNOW_WORKERS", "none")
    with pytest.raises(ValueError, match="WINNOW_WORKERS: 'none' is no number above 0"):
        settings.workers()
