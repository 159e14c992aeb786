import pytest

from course.measured import measured


def test_the_learner_s_own_number_is_printed_beside_ours(capsys):
    measured("loss", 2.2718, ours=2.25, within=0.15)
    assert capsys.readouterr().out == "loss: measured 2.27  (we got 2.25; anything within 0.15 is normal)\n"


def test_a_number_that_contradicts_the_text_fails():
    with pytest.raises(AssertionError, match=r"more than 0\.15 away"):
        measured("loss", 2.5, ours=2.25, within=0.15)
