"""Starts follow each other no faster than a hub can take them."""

from renku_spawner.context.start_queue import START_BURST_SIZE, STARTS_PER_SECOND
from renku_spawner.integrations.net.rate_limiter import TokenBucket


def test_leave_to_start_is_spent_and_comes_back_with_time_in_which_the_hub_was_well():
    now = [0.0]
    pace = TokenBucket(burst=START_BURST_SIZE, per_second=STARTS_PER_SECOND, clock=lambda: now[0])
    for left in range(START_BURST_SIZE, 0, -1):
        assert pace.available == left
        pace.take()
    assert pace.available == 0
    now[0] = 5 / STARTS_PER_SECOND
    assert pace.available == 5
    now[0] = 99.0
    assert pace.available == START_BURST_SIZE, "rest is not saved up"
    for _ in range(START_BURST_SIZE):
        pace.take()
    now[0] += 1.0
    pace.discount_delay(1.0)
    assert pace.available == 0, "a hub that was late for a second gets no leave for it"
