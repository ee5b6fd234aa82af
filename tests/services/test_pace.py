"""Starts follow each other no faster than a hub can take them."""

from renku_spawner.services.pace import A_SECOND, AT_ONCE, Pace


def test_leave_to_start_is_spent_and_comes_back_with_time_in_which_the_hub_was_well():
    now = [0.0]
    pace = Pace(lambda: now[0])
    for left in range(AT_ONCE, 0, -1):
        assert pace.left == left
        pace.spend()
    assert pace.left == 0
    now[0] = 5 / A_SECOND
    assert pace.left == 5
    now[0] = 99.0
    assert pace.left == AT_ONCE, "rest is not saved up"
    for _ in range(AT_ONCE):
        pace.spend()
    now[0] += 1.0
    pace.late(1.0)
    assert pace.left == 0, "a hub that was late for a second gets no leave for it"
