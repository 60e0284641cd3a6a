"""The facts of machine and build that a figure needs to mean anything."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from .. import _core, config, cuda

_ROOT = Path(__file__).resolve().parents[3]  # of the checkout, when this is one


def facts() -> dict[str, str]:
    """One short value each; what cannot be found out is "unknown"."""
    reason = cuda.unavailable_reason()
    return {
        "version": config.package_version(),
        "git": git_hash() or "unknown",
        "compiler": _core.compiler,
        "CPU": cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "ISA": _core.active_isa(),
        "GPU": gpu_names() if reason is None else f"none ({reason})",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def cpu_name() -> str:
    """The processor's own name for itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def gpu_names() -> str:
    return ", ".join(device.name for device in _core.cuda_devices())


def git_hash() -> str:
    """Of the checkout that this runs in, with + when files differ from it; else what the build noted; else ""."""
    if (_ROOT / ".git").exists() and (_ROOT / "csrc").is_dir():
        head = _git("rev-parse", "--short", "HEAD")
        if head:
            return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return _core.git_hash


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", _ROOT, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
