"""What keeps several processes together: signs of life, joint statistics, the images of a step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import distributed, nn

from prune import startup
from prune.errors import LostProcessError, UsageError
from prune.train import heartbeat
from prune.train.distributed import ALONE, World, check_world
from prune.train.heartbeat import Heartbeat, is_broken, watching
from prune.train.sync_norm import CpuBatchNorm, synchronize

TWO = World(rank=0, size=2)


class Board(dict[str, bytes]):
    """Stands for torch's store."""

    def set(self, key: str, value: str) -> None:
        self[key] = value.encode()

    def check(self, keys: list[str]) -> bool:
        return all(key in self for key in keys)

    def get(self, key: str, default: object = None) -> bytes:
        return self[key]


def never(message: str) -> None:
    raise AssertionError(message)


def other(board: Board, sign: str) -> None:
    board.set(heartbeat._key(1), sign)


def test_a_process_without_a_sign_of_life_is_missed_after_the_time_of_silence() -> None:
    board = Board()
    beat = Heartbeat(TWO, board, never, silence=40)
    other(board, "1")
    assert beat.look(100.0) == []
    assert beat.look(140.0) == []
    assert beat.look(140.1) == [1]
    other(board, "2")
    assert beat.look(141.0) == []


def test_a_process_that_never_began_is_missed_as_well() -> None:
    beat = Heartbeat(TWO, Board(), never, silence=40)
    assert beat.look(0.0) == []
    assert beat.look(41.0) == [1]


def test_a_process_that_has_left_is_not_missed() -> None:
    board = Board()
    beat = Heartbeat(TWO, board, never, silence=40)
    other(board, heartbeat.LEFT)
    assert beat.look(0.0) == []
    assert beat.look(1000.0) == []


def test_the_loss_of_a_process_is_reported_from_the_thread_that_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.02)
    told = list[str]()
    beat = Heartbeat(TWO, Board(), told.append, silence=0.2)
    beat.start()
    beat._thread.join(timeout=30)
    assert told == [
        "process 2 of 2 is gone (no sign of life for 0 s); last.pt is intact: start all processes again with --resume"
    ]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Board:
    """A store in which the other process shows no sign of life."""
    board = Board()
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.02)
    monkeypatch.setattr(heartbeat, "_connect", lambda: board)
    return board


def test_an_error_of_the_connection_becomes_one_that_names_the_process_and_the_fix(two: Board) -> None:
    with pytest.raises(LostProcessError, match=r"process 2 of 2 is gone \(the connection is closed\).*--resume"):  # noqa: SIM117
        with watching(TWO):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5")


def test_an_interruption_after_the_other_process_has_ended_is_the_loss_of_that_process(two: Board) -> None:
    with pytest.raises(LostProcessError, match="it has ended"), watching(TWO):
        raise KeyboardInterrupt


def test_an_interruption_of_all_processes_remains_one(two: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    other(two, heartbeat.LEFT)
    with pytest.raises(KeyboardInterrupt), watching(TWO):
        raise KeyboardInterrupt
    monkeypatch.setattr(startup, "was_interrupted", lambda: True)
    with pytest.raises(KeyboardInterrupt), watching(TWO):
        raise RuntimeError("Connection reset by peer")


def test_a_launcher_that_interrupts_does_not_hide_the_loss(two: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[BaseException | list[int]] = iter([KeyboardInterrupt(), [1]])

    def silent(_heartbeat: Heartbeat) -> list[int]:
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(Heartbeat, "silent_now", silent)
    with pytest.raises(LostProcessError, match="process 2 of 2 is gone"), watching(TWO):
        raise RuntimeError("Connection reset by peer")


def test_other_errors_are_not_touched(two: Board) -> None:
    with pytest.raises(RuntimeError, match="shape"), watching(TWO):
        raise RuntimeError("shape mismatch")
    with pytest.raises(RuntimeError, match="gloo"), watching(ALONE):
        raise RuntimeError("gloo")
    assert is_broken(RuntimeError("Broken pipe"))


def test_the_images_of_a_step_must_be_as_many_as_before() -> None:
    before = {"processes": 4, "batch_size": 2}
    assert check_world(World(size=4), 8, before) is None, "another batch size with as many processes is allowed"
    assert check_world(World(size=2), 4, before) == (
        "the checkpoint was trained by 4 × --batch-size 2, now 2 × 4: as many images per step"
    )
    with pytest.raises(UsageError, match=r"now 2 × 2 are asked for: pass --batch-size 4"):
        check_world(World(size=2), 2, before)
    with pytest.raises(UsageError, match=r"now 3 × 2 are asked for: start 4 processes"):
        check_world(World(size=3), 2, before)
    assert check_world(World(size=3), 2, {}) is None, "checkpoints of earlier versions do not say"


@pytest.fixture
def group() -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_in_one_process_it_is_the_batch_norm_of_torch(group: None, memory: torch.memory_format) -> None:
    expected = nn.BatchNorm2d(5, eps=1e-6, momentum=0.03)
    with torch.no_grad():
        expected.weight.uniform_(0.5, 2)
        expected.bias.uniform_(-1, 1)
    network = nn.Sequential(nn.BatchNorm2d(5, eps=1e-6, momentum=0.03))
    network.load_state_dict({f"0.{name}": value for name, value in expected.state_dict().items()})
    synchronize(network, torch.device("cpu"))
    assert isinstance(network[0], CpuBatchNorm)
    x = (torch.randn(4, 5, 6, 7) * 3 + 50).contiguous(memory_format=memory)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, reference = network(ours), expected(theirs)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (reference * weights).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(network.get_parameter(f"0.{name}").grad, parameter.grad, rtol=1e-4, atol=1e-3)
    for name, value in expected.named_buffers():
        torch.testing.assert_close(network.get_buffer(f"0.{name}"), value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network.eval()(x), expected.eval()(x))
