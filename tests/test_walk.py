"""Who follows a call passes through few files: from the command line to `learn()`, and through a layer's step."""

from tests.walk import through_a_step, to_learn


def test_from_the_command_line_to_learn(tmp_path):
    assert len(to_learn(str(tmp_path))) <= 1 + 60


def test_a_step_of_a_plastic_layer():
    assert len(through_a_step("plastic")) <= 1 + 5


def test_a_step_of_a_memory_on_a_controller():
    assert len(through_a_step("plastic_memory")) <= 1 + 6
