"""What the machine is, and what else it was doing."""

import datetime
import os
import pathlib
import platform
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")


def cores():
    return len(os.sched_getaffinity(0))


def describe(root):
    """The machine and the sources, for the record."""
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in info if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(fields.get("flags", "").split())
    memory = pathlib.Path("/proc/meminfo").read_text().splitlines()[0].split()[1]
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": fields.get("model name"),
        "cpu_family_model": f"{fields.get('cpu family')}/{fields.get('model')}",
        "vector": sorted(flags & {"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"}),
        "cores": cores(),
        "memory_gib": round(int(memory) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rustc": output(["rustc", "--version"], root),
        "sources": output(["git", "describe", "--always", "--dirty"], root),
    }


def output(command, folder):
    """What a command prints, or why it did not."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stdout.strip() or done.stderr.strip()


def load():
    return [round(value, 2) for value in os.getloadavg()]


def busy_seconds():
    """CPU seconds that the whole machine has worked, other guests' stolen ones included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_seconds(pid):
    """CPU seconds of one process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
