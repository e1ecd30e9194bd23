"""Clocks, power and temperature as nvidia-smi says them; nothing where there is no nvidia-smi."""

import subprocess

FIELDS = ("name", "driver_version", "clocks.sm", "clocks.mem", "power.draw", "power.limit",
          "temperature.gpu")


def gpu_state():
    """The fields of the first GPU, with their units, or None."""
    query = ["nvidia-smi", "--query-gpu=" + ",".join(FIELDS), "--format=csv,noheader"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    first = output.splitlines()[0] if output else ""
    return dict(zip(FIELDS, (field.strip() for field in first.split(","))))
