"""Bounded lists that say what they leave out."""

from amends.workflows.worklists import Table


def test_a_whole_list_is_counted() -> None:
    assert Table([{}] * 3, 3).told("open tasks", "amends tasks") == "3 open tasks"
    assert Table([], 0).told("open tasks", "amends tasks") == "0 open tasks"


def test_a_cut_list_says_how_many_more_and_where() -> None:
    told = Table([{}] * 100, 1240).told("open cases", "amends cases --shop demo")
    assert (
        told == "100 of 1,240 open cases, the most urgent first; the other 1,140: `amends cases --shop demo`"
    )
