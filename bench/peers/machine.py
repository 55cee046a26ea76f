"""What the figures were measured on."""

import os
import platform

from peers.cpu import cpu_flags, vector_width


def describe():
    return {
        "cpu": cpu_model(),
        "instructions": vector_width(cpu_flags()),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.release()}",
    }


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()
