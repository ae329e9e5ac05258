"""The launcher of comparisons on Ray: on a cluster of two nodes on this machine, one of which is killed."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from litzoo.scripts.compare import on_ray
from litzoo.scripts.compare.options import parse
from tests.scripts.helpers import CONFIGS

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs ray: pip install 'litzoo[ray]'")
MLP = str(CONFIGS / "digits_mlp.yaml")
COMMON = "--common=--trainer.max_epochs=40 --trainer.accelerator=cpu --trainer.check_val_every_n_epoch=5"
SECONDS = 600  # on a busy machine


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.second = cluster.add_node(**node)
        yield cluster
    finally:
        cluster.shutdown()


def compared(address, *options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"RAY_ADDRESS": address} if address else {})}
    words = [sys.executable, "-m", "litzoo", "compare", MLP, "--seeds", "0", "1", COMMON, *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def trained_epochs(seed):
    found = list(Path(f"runs/compare_two/digits_mlp/seed_{seed}").glob("version_*/run.json"))
    return json.loads(found[0].read_text())["epochs"] if found else 0


def metrics(name, seed):
    (folder,) = Path(f"runs/compare_{name}/digits_mlp/seed_{seed}").glob("version_*")
    return json.loads((folder / "metrics_last.json").read_text())


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(2000)
def test_the_run_of_a_killed_node_resumes_on_the_other_and_ends_as_local_runs_do(cluster):
    command = compared(cluster.address, "--launcher", "ray", "--name", "two")
    end = time.monotonic() + SECONDS
    while min(trained_epochs(0), trained_epochs(1)) < 5 and command.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    cluster.remove_node(cluster.second, allow_graceful=False)
    output, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, output
    logs = [Path(f"runs/compare_two/digits_mlp/seed_{seed}/log.txt").read_text() for seed in (0, 1)]
    starts = [re.findall(r"^\$ litzoo fit (.*)", log, re.MULTILINE) for log in logs]
    assert sorted(map(len, starts)) == [1, 2], starts
    assert all("--ckpt_path" in line for lines in starts for line in lines[1:])
    output, _ = compared(None, "--name", "local", "--jobs", "2").communicate(timeout=SECONDS)
    for seed in (0, 1):
        assert metrics("two", seed) == metrics("local", seed), output
    again, _ = compared(cluster.address, "--launcher", "ray", "--name", "two").communicate(timeout=SECONDS)
    assert again.count("already finished") == 2
    asked, _ = compared(cluster.address, "--launcher", "ray", "--name", "two2", "--cpus", "3").communicate()
    assert "--cpus 3 --gpus 0: no machine of the cluster has as many CPUs and GPUs (1 and 0)" in asked


def test_ray_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("--launcher ray: needs ray; `pip install 'litzoo[ray]'`")):
        parse([MLP, "--launcher", "ray"], "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cpus", "2"], "--cpus, --gpus: are those of each run with --launcher ray; without it, give --jobs"),
        (["--launcher", "ray", "--jobs", "2"], "--jobs 2: Ray runs as many as it has CPUs and GPUs for"),
        (["--jobs", "0"], "--jobs 0: takes at least 1"),
        pytest.param(["--launcher", "ray", "--gpus", "1.5"], "--gpus 1.5: takes a whole number", marks=needs_ray),
        pytest.param(["--launcher", "ray", "--cpus", "0"], "--cpus 0: takes at least 1", marks=needs_ray),
    ],
)
def test_options_of_the_other_launcher_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse([MLP, *options], "")


def test_a_run_without_gpus_sees_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("LITZOO_DATA_DIR", "/data")
    without, one = on_ray.passed_environment(2, 0), on_ray.passed_environment(2, 1)
    assert (without["CUDA_VISIBLE_DEVICES"], without["OMP_NUM_THREADS"], without["LITZOO_DATA_DIR"]) == (
        "",
        "2",
        "/data",
    )
    assert "CUDA_VISIBLE_DEVICES" not in one  # Ray has chosen them


def test_a_machine_without_the_shared_folder_is_named(tmp_path):
    problem = on_ray._run_to_end(None, "last", str(tmp_path), "runs/compare_two", [], {})
    assert "all machines have to share it by the same path" in problem


def test_a_run_that_fails_or_ends_without_a_result_says_so(tmp_path, monkeypatch):
    from litzoo.scripts.compare.compared_run import ComparedRun

    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/.lock").touch()
    run = ComparedRun("a", 0, ["--config", "a.yaml"], Path("runs"), "compare_a")
    arguments = (run, "last", str(tmp_path), "runs")
    assert on_ray._run_to_end(*arguments, [sys.executable, "-c", "exit(3)"], {}) == "exit status 3"
    assert on_ray._run_to_end(*arguments, [sys.executable, "-c", ""], {}) == "it has ended without a result"


@pytest.mark.parametrize("protocol", ["", "ray://"])
def test_a_cluster_that_does_not_answer_is_named(protocol):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{protocol}127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=re.escape(f"RAY_ADDRESS {address}: no Ray cluster answers there")):
            on_ray._require_answer(address)
        free.listen()
        on_ray._require_answer(address)
    on_ray._require_answer("auto")
