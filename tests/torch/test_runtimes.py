"""Every runtime computes what we compute; what fails in one is a reason in one line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.errors import CfgError, DeploymentError, FileError, UsageError
from prune.runtimes.measure import MOST_ROUNDS, Repeats, difference, measure, steps
from prune.runtimes.prepare import Given, InputSetting, match_pairs, prepare, share_references, short_names
from prune.runtimes.process import THREAD_VARIABLES, Worker, environment
from prune.runtimes.table import RUNTIMES
from prune.runtimes.worker import Answer, Job, read_answer, read_job, reason
from tests.runtime_networks import UNREADABLE, pixels, prepared, two_headed, write_pair

TOLERANCES = dict.fromkeys(RUNTIMES, 1e-4) | {"openvino-default": 3e-2}
"""OpenVINO's own choice may be bf16, which has 8 bits."""


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("batch", [1, 2])
def test_every_runtime_computes_the_maps_that_we_compute(tmp_path: Path, name: str, batch: int) -> None:
    runtime = RUNTIMES[name]
    for module in runtime.modules:
        pytest.importorskip(module)
    network = prepared(tmp_path, two_headed(4), runtime.reads_onnx, batch)
    if name == "ncnn" and batch > 1:
        with pytest.raises(DeploymentError, match="--batch-size 1"):
            runtime.load(network.files, network.shape, 1)
        return
    loaded = runtime.load(network.files, network.shape, 1)
    first = loaded.run(pixels(network))
    loaded.infer()
    assert network.reference is not None
    assert difference(first, network.reference) <= TOLERANCES[name]
    assert all(np.array_equal(a, b) for a, b in zip(first, loaded.maps(), strict=True)), "a second run is the same"
    loaded.feed(pixels(network) * 0.5)
    loaded.infer()
    assert difference(loaded.maps(), network.reference) > 1e-3, "the output depends on the input"


def test_rounds_spread_the_repeats_evenly() -> None:
    assert Repeats(20, 3).rounds() == [4] * 5
    assert Repeats(7, 0).rounds() == [2, 2, 1, 1, 1]


@given(st.integers(1, 10_000))
def test_no_repeat_is_lost(timed: int) -> None:
    rounds = Repeats(timed, 0).rounds()
    assert sum(rounds) == timed
    assert len(rounds) <= MOST_ROUNDS
    assert max(rounds) - min(rounds) <= 1


def test_the_difference_is_relative_to_the_largest_value_of_all_maps() -> None:
    reference = [np.array([[8.0, -2.0]]), np.array([[1.0]])]
    found = [np.array([[8.0, -2.0]], np.float32), np.array([[1.5]], np.float32)]
    assert difference(found, reference) == 0.5 / 8
    with pytest.raises(DeploymentError, match="shapes"):
        difference(found[:1], reference)
    with pytest.raises(DeploymentError, match="not finite"):
        difference([np.array([[np.nan, 0.0]], np.float32), found[1]], reference)


def test_a_job_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    network = prepared(tmp_path, two_headed(2))
    job = Job("opencv", network.files, network.imgs, tmp_path / "out.npz", 3)
    assert read_job(job.text()) == job


def test_what_is_no_answer_is_refused() -> None:
    assert read_answer('{"failure": "x", "seconds": [], "peak_bytes": 1, "load_seconds": 0.5, "precision": ""}') == (
        Answer("x", (), 1, 0.5, "")
    )
    with pytest.raises(ValueError, match="noise"):
        read_answer('{"noise": 1}')


def test_a_reason_is_one_short_line() -> None:
    assert reason(ValueError("two\nlines  and\tspace")) == "two lines and space"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 1000))) == 200


def job_of(folder: Path, runtime: str, text: str, name: str) -> Job:
    (folder / name).mkdir()
    network = prepared(folder / name, text)
    return Job(runtime, network.files, network.imgs, folder / f"{name}.npz", 1)


def test_a_network_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    jobs = [
        job_of(tmp_path, "opencv", two_headed(4, UNREADABLE), "unreadable"),
        job_of(tmp_path, "opencv", two_headed(4), "plain"),
    ]
    ticks: list[None] = []
    repeats = Repeats(3, 1)
    failed, measured = measure(jobs, repeats, tmp_path / "work", lambda: ticks.append(None))
    assert failed.failure is not None
    assert "local_avgpool" in failed.failure
    assert failed.seconds == ()
    assert measured.failure is None
    assert len(measured.seconds) == 3
    assert min(measured.seconds) > 0
    assert 10e6 < measured.peak_bytes < 1e9, "without what this process has in memory"
    assert len(measured.outputs) == 2
    assert len(ticks) == steps(jobs, repeats)


def test_a_process_that_is_killed_is_a_reason(tmp_path: Path) -> None:
    with Worker(job_of(tmp_path, "opencv", two_headed(2), "net"), tmp_path / "work") as worker:
        worker.answer()
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(DeploymentError, match="SIGKILL"):
            worker.ask(0, 1)


def test_weights_are_matched_with_cfgs_in_their_order() -> None:
    a, b, onnx = Path("x/a.weights"), Path("x/b.pt"), Path("x/c.onnx")
    found = match_pairs([Path("1.cfg"), Path("2.cfg")], [a, onnx, b])
    assert found == [Given("a", Path("1.cfg"), a), Given("c", None, onnx), Given("b", Path("2.cfg"), b)]


@pytest.mark.parametrize(("cfgs", "weights"), [(1, 2), (2, 1), (0, 0), (0, 1), (1, 0)])
def test_unequal_numbers_of_cfgs_and_weights_are_refused(cfgs: int, weights: int) -> None:
    with pytest.raises(UsageError, match="once per network"):
        match_pairs([Path("a.cfg")] * cfgs, [Path(f"{n}.weights") for n in range(weights)])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/best.weights", "runs/b/best.weights"], ["a/best", "b/best"]),
        (["a.weights", "b.weights"], ["a", "b"]),
        (["a.weights", "a.weights"], ["a (1)", "a (2)"]),
        (["v1.1/net.weights"], ["net"]),
    ],
)
def test_names_are_as_short_as_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert short_names([Path(path) for path in paths]) == names


def test_a_network_without_a_head_has_nothing_to_compare(tmp_path: Path) -> None:
    text = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
    with pytest.raises(UsageError, match="no detection head"):
        prepared(tmp_path, text)


def test_an_exported_file_is_compared_with_the_pair_that_it_was_made_from(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pair = prepared(tmp_path, two_headed(2), export=True)
    onnx = pair.files.onnx
    assert onnx is not None
    alone = prepare(Given("onnx", None, onnx), InputSetting(None, 1, 0), tmp_path / "alone", False)
    (tmp_path / "else").mkdir()
    other = prepared(tmp_path / "else", two_headed(3))
    assert np.array_equal(pixels(alone), pixels(pair))
    assert share_references([pair, alone]) == [pair.reference] * 2
    assert share_references([other, alone]) == [other.reference, None]


@pytest.mark.parametrize(
    ("setting", "what"),
    [(InputSetting((64, 64), 1, 0), "32x32 only"), (InputSetting(None, 3, 0), "--batch-size 1")],
)
def test_an_exported_file_has_its_own_size_and_batch(tmp_path: Path, setting: InputSetting, what: str) -> None:
    pytest.importorskip("onnx")
    onnx = prepared(tmp_path, two_headed(2), export=True).files.onnx
    assert onnx is not None
    with pytest.raises(FileError, match=what):
        prepare(Given("onnx", None, onnx), setting, tmp_path / "alone", False)


def test_torch_says_that_it_does_not_run_exported_files(tmp_path: Path) -> None:
    cfg, _ = write_pair(tmp_path, "net", two_headed(2))
    files = prepared(tmp_path, two_headed(2)).files
    for name in ("torch", "onnxruntime"):
        bare = type(files)(tmp_path, files.heads, cfg=cfg)
        with pytest.raises(DeploymentError, match="export"):
            RUNTIMES[name].load(bare, (1, 3, 32, 32), 1)


def test_a_network_that_cannot_be_exported_is_a_reason_in_the_runtimes_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = pytest.importorskip("prune.export.build", exc_type=ImportError)

    def refuse(*_: object) -> None:
        raise CfgError("net.cfg", 3, "is too odd")

    monkeypatch.setattr(build, "write_network", refuse)
    network = prepared(tmp_path, two_headed(2), export=True)
    assert network.files.onnx is None
    for runtime in RUNTIMES.values():
        if runtime.reads_onnx and runtime.missing() is None:
            with pytest.raises(DeploymentError, match=r"cannot be exported: net\.cfg:3: is too odd"):
                runtime.load(network.files, network.shape, 1)


def test_a_process_gets_its_threads_before_it_starts_and_finds_this_package() -> None:
    found = environment(3)
    assert {found[name] for name in THREAD_VARIABLES} == {"3"}
    assert (Path(found["PYTHONPATH"].split(os.pathsep)[0]) / "prune" / "runtimes").is_dir()
