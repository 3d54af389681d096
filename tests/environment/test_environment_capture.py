"""The environment record: what it holds, what it never holds, and what it does not do to find out."""

from __future__ import annotations

import locale
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest

from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.gpu import GpuQuery, describe_accelerators
from repro_hydra.environment.hardware import describe_cpu, describe_disk, describe_memory, read_cpuinfo
from repro_hydra.environment.software import describe_container, describe_limits, describe_time_zone
from repro_hydra.environment.unknown import Unknown
from repro_hydra.environment.variables import chosen_variables, slurm_variables
from repro_hydra.record.environment import EnvironmentRecord


def test_what_this_machine_is() -> None:
    record = capture_environment()
    assert record.interpreter.version == ".".join(map(str, sys.version_info[:3]))
    assert record.interpreter.flags["hash_randomization"] == sys.flags.hash_randomization
    assert record.platform.libc is None or record.platform.libc.startswith("glibc")
    assert record.cpu.cores_logical == psutil.cpu_count()
    assert record.memory.total_bytes == psutil.virtual_memory().total
    assert record.disk is not None
    assert record.disk.path == str(Path.cwd())
    assert record.distributions == list_distributions()
    assert record.locale["all"] == locale.setlocale(locale.LC_ALL, None)
    assert "nofile" in record.limits
    assert msgspec.json.decode(msgspec.json.encode(record), type=EnvironmentRecord) == record


def test_distributions_that_were_asked_before_are_taken() -> None:
    record = capture_environment(distributions=list_distributions()[:3])
    assert record.distributions is not None
    assert len(record.distributions) == 3
    assert record.distributions_digest != capture_environment().distributions_digest


def test_nothing_heavy_is_imported_to_find_out() -> None:
    program = (
        "import sys; from repro_hydra.environment import capture_environment as c; r = c();"
        "bad = {'torch', 'numpy', 'scipy', 'git'} & set(sys.modules); assert not bad, bad;"
        "assert r.cpu.capability is None and r.threads == {} and r.accelerators.cuda is None"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_imported_torch_is_asked() -> None:
    torch = pytest.importorskip("torch")
    record = capture_environment(distributions=[])
    assert record.cpu.capability == torch.backends.cpu.get_cpu_capability()
    assert record.threads["torch"] == torch.get_num_threads()
    assert not torch.cuda.is_initialized()
    assert {pool.user_api for pool in record.thread_pools or []} >= {"openmp"}


def test_a_torch_that_is_only_half_imported_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", type(sys)("torch"))
    record = capture_environment(distributions=[])
    assert record.cpu.capability is None
    assert record.threads == {}
    assert record.accelerators.cuda is None


# --- variables -------------------------------------------------------------------------------------------


def test_variables_by_the_list_and_by_wish() -> None:
    environ = {
        "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "/a", "LD_LIBRARY_PATH": "/b", "PATH": "/c", "HOME": "/d",
        "USER": "e", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "NCCL_ALGO": "Ring", "LC_ALL": "C",
        "MKL_CBWR": "AVX", "EDITOR": "vi", "MY_VARIABLE": "1", "MY_OTHER": "2", "SOMETHING": "3",
    }  # fmt: skip
    assert chosen_variables(environ).keys() == environ.keys() - {
        "EDITOR",
        "MY_VARIABLE",
        "MY_OTHER",
        "SOMETHING",
    }
    more = chosen_variables(environ, ["MY_*", "SOMETHING", "ABSENT"])
    assert more.keys() == environ.keys() - {"EDITOR"}


def test_secrets_are_never_recorded_also_where_they_were_asked_for() -> None:
    token = "hf_" + "aBcDeFgH" * 5
    environ = {
        "HF_TOKEN": "hunter2",
        "WANDB_API_KEY": "hunter2",
        "PYTHON_KEYRING_PASSWORD": "hunter2",
        "HOME": f"/home/{token}",
        "PIP_INDEX_URL": "https://me:hunter2@example.org/simple",
        "SLURM_JWT": "hunter2",
        "SLURM_JOB_ID": "7",
    }
    assert chosen_variables(environ).keys() == {"PYTHON_KEYRING_PASSWORD", "HOME"}
    record = capture_environment(variables=["*"], environ=environ, distributions=[])
    text = msgspec.json.encode(record).decode()
    assert "hunter2" not in text
    assert token not in text
    assert record.slurm == {"SLURM_JOB_ID": "7", "SLURM_JWT": "[redacted]"}
    assert record.variables["HF_TOKEN"] == "[redacted]"


def test_a_variable_that_is_no_text_is_still_json() -> None:
    environ = {"HOME": os.fsdecode(b"/home/\xff"), "SLURM_X": os.fsdecode(b"\xfe")}
    assert chosen_variables(environ) == {"HOME": "/home/\\xff"}
    msgspec.json.encode([chosen_variables(environ), slurm_variables(environ)])


# --- hardware --------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_named_and_none(tmp_path: Path) -> None:
    unknown = Unknown()
    cpu = describe_cpu(unknown, cpuinfo=tmp_path / "missing", cgroup=tmp_path)
    assert (cpu.model, cpu.flags, cpu.flags_digest) == (None, None, None)
    assert "FileNotFoundError" in unknown["cpu.model"]


def test_flags_in_any_order_have_one_digest(tmp_path: Path) -> None:
    (tmp_path / "x86").write_text("model name\t: A\nvendor_id\t: V\nflags\t\t: sse avx\n\nmodel name\t: B\n")
    (tmp_path / "again").write_text("flags : avx sse\n")
    (tmp_path / "arm").write_text("CPU implementer : 0x41\nFeatures : fp asimd\n")
    x86, again, arm = (describe_cpu(Unknown(), cpuinfo=tmp_path / name) for name in ("x86", "again", "arm"))
    assert (x86.model, x86.vendor, x86.flags) == ("A", "V", ["avx", "sse"])
    assert x86.flags_digest == again.flags_digest != arm.flags_digest
    assert (arm.flags, arm.vendor) == (["asimd", "fp"], "0x41")
    assert read_cpuinfo(tmp_path / "x86")["model name"] == "A"


def test_limits_of_a_container(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert describe_cpu(Unknown(), cgroup=tmp_path).quota_cores == 1.5
    assert describe_memory(Unknown(), cgroup=tmp_path).limit_bytes == 1 << 30
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert describe_cpu(Unknown(), cgroup=tmp_path).quota_cores is None
    assert describe_memory(Unknown(), cgroup=tmp_path).limit_bytes is None
    older = tmp_path / "v1"
    (older / "cpu").mkdir(parents=True)
    (older / "memory").mkdir()
    (older / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (older / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (older / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert describe_cpu(Unknown(), cgroup=older).quota_cores is None
    assert describe_memory(Unknown(), cgroup=older).limit_bytes is None
    unknown = Unknown()
    (tmp_path / "cpu.max").write_text("nonsense\n")
    assert describe_cpu(unknown, cgroup=tmp_path).quota_cores is None
    assert "cpu.quota_cores" in unknown


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    disk = describe_disk(Unknown(), tmp_path / "outputs/now")
    assert disk.path == str(tmp_path)
    assert disk.total_bytes


# --- GPUs ------------------------------------------------------------------------------------------------


def nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_gpus_as_nvidia_smi_tells(tmp_path: Path) -> None:
    environ = nvidia_smi(
        tmp_path / "bin",
        "echo '0, NVIDIA A100-SXM4-40GB, GPU-1, 40960, 8.0, Disabled, 550.54.15'\n"
        "echo '1, NVIDIA T4, GPU-2, [N/A], 7.5, [N/A], 550.54.15'",
    )
    unknown = Unknown()
    query = GpuQuery(environ)
    first, second = query.finish(unknown) or []
    assert (first.name, first.memory_bytes, first.compute_capability) == (
        "NVIDIA A100-SXM4-40GB",
        40960 << 20,
        "8.0",
    )
    assert (second.index, second.memory_bytes, second.mig) == (1, None, None)
    assert query.driver == "550.54.15"
    assert describe_accelerators(query.driver, unknown).driver == "550.54.15"
    assert unknown == {}


def test_no_gpu_is_an_empty_list_and_a_silent_one_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nowhere"
    assert GpuQuery({"PATH": str(nowhere)}, kernel_module=nowhere).finish(Unknown()) == []
    none = nvidia_smi(tmp_path / "none", "echo 'No devices were found'; exit 6")
    assert GpuQuery(none, kernel_module=nowhere).finish(Unknown()) == []
    unknown = Unknown()
    broken = nvidia_smi(tmp_path / "broken", "echo 'Failed to initialize NVML' >&2; exit 255")
    assert GpuQuery(broken, kernel_module=nowhere).finish(unknown) is None
    assert "Failed to initialize NVML" in unknown["gpus"]
    monkeypatch.setattr("repro_hydra.environment.gpu._TIMEOUT_S", 0.2)
    unknown = Unknown()
    slow = nvidia_smi(tmp_path / "slow", "exec sleep 30")
    assert GpuQuery(slow, kernel_module=nowhere).finish(unknown) is None
    assert "did not answer" in unknown["gpus"]
    unknown = Unknown()
    odd = nvidia_smi(tmp_path / "odd", "echo 'what a day'")
    assert GpuQuery(odd, kernel_module=nowhere).finish(unknown) == []
    assert "not understood" in unknown["gpus"]


def test_without_nvidia_smi_the_kernel_module_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "gpus/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA H200\nGPU UUID:\t GPU-7\n")
    unknown = Unknown()
    (gpu,) = GpuQuery({"PATH": ""}, kernel_module=tmp_path).finish(unknown) or []
    assert (gpu.name, gpu.uuid, gpu.memory_bytes) == ("NVIDIA H200", "GPU-7", None)
    assert "names only" in unknown["gpus"]


# --- the rest --------------------------------------------------------------------------------------------


def test_signs_of_containers(tmp_path: Path) -> None:
    assert describe_container({}, root=tmp_path) is None
    assert describe_container({"APPTAINER_CONTAINER": "/a.sif"}, root=tmp_path) == {
        "kind": "apptainer",
        "image": "/a.sif",
    }
    assert describe_container({"KUBERNETES_SERVICE_HOST": "x"}, root=tmp_path) == {
        "kind": "kubernetes",
        "image": None,
    }
    (tmp_path / ".dockerenv").touch()
    assert describe_container({}, root=tmp_path) == {"kind": "docker", "image": None}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").write_text('engine="podman"\nimage="docker.io/library/x:1"\n')
    assert describe_container({}, root=tmp_path) == {"kind": "podman", "image": "docker.io/library/x:1"}


def test_the_time_zone_by_variable_and_by_link(tmp_path: Path) -> None:
    assert describe_time_zone({"TZ": "Europe/Berlin"})["name"] == "Europe/Berlin"
    zone = tmp_path / "zoneinfo/Asia/Tokyo"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)
    assert describe_time_zone({}, localtime=tmp_path / "localtime")["name"] == "Asia/Tokyo"
    assert describe_time_zone({}, localtime=tmp_path / "missing")["name"] is None


def test_limits_are_numbers_or_unlimited() -> None:
    for soft, hard in describe_limits(Unknown()).values():
        assert soft is None or soft >= 0
        assert hard is None or hard >= 0


@pytest.mark.parametrize("patterns", [("A", "B*", "*_C", "d?e", "[xy]*", "*mid*"), ("*",), ()])
def test_variables_are_chosen_as_a_shell_would(patterns: tuple[str, ...]) -> None:
    """The quick answer and the standard library's are one."""
    from fnmatch import fnmatchcase

    from repro_hydra.environment.variables import _names

    for name in ("A", "AB", "B", "BX", "X_C", "_C", "dze", "x1", "z1", "amidb", "mid", ""):
        assert (name in _names(patterns)) is any(fnmatchcase(name, pattern) for pattern in patterns)


def test_asking_for_the_libraries_of_a_gpu_does_not_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a CUDA build, whose question for cuDNN's version looks at each device (as torch 2.11's does)."""
    torch = pytest.importorskip("torch")

    def starts() -> None:
        pytest.fail("CUDA was initialised")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", starts)
    monkeypatch.setattr(torch.cuda, "_lazy_init", starts)
    monkeypatch.setattr(torch._C, "_cudnn", SimpleNamespace(getVersionInt=lambda: 91900), raising=False)
    assert describe_accelerators("580", Unknown()).cudnn == "91900"
