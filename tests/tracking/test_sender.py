import threading

from cnnlab.tracking.sender import Sender


def test_all_is_done_in_order():
    done: list[int] = []
    sender = Sender(100)
    for i in range(50):
        assert sender.give(lambda i=i: done.append(i)) is None
    assert sender.finish(5.0) is None
    assert done == list(range(50))


def test_the_first_error_ends_it():
    done: list[int] = []
    sender = Sender(100)
    sender.give(lambda: 1 / 0)
    sender.give(lambda: done.append(1))
    assert isinstance(sender.finish(5.0), ZeroDivisionError)
    assert isinstance(sender.give(lambda: done.append(2)), ZeroDivisionError)
    assert done == []


def test_one_that_hangs_costs_no_time():
    release = threading.Event()
    sender = Sender(2)
    given = [sender.give(release.wait) for _ in range(9)]
    assert given[0] is None
    assert isinstance(given[-1], TimeoutError)
    assert isinstance(sender.finish(0.1), TimeoutError)
    release.set()


def test_the_end_is_not_awaited_forever():
    release = threading.Event()
    sender = Sender(2)
    sender.give(release.wait)
    assert isinstance(sender.finish(0.1), TimeoutError)
    release.set()
