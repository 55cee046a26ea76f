"""The environment in which a peer is at its best on this CPU.

OpenBLAS, which NumPy and faiss bring along, takes AVX2 kernels on some CPUs that have AVX-512, and
machines may have settings that force slow kernels.
"""

OPENBLAS_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
AVX512_FLAGS = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}
AVX512_KERNELS = "SkylakeX"
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def environment(inherited, flags, threads):
    """The variables of a peer's process, from those of this one."""
    variables = {name: text for name, text in inherited.items() if name not in OPENBLAS_SETTINGS}
    if AVX512_FLAGS <= flags:
        variables["OPENBLAS_CORETYPE"] = AVX512_KERNELS
    return variables | dict.fromkeys(THREAD_SETTINGS, str(threads))


def cpu_flags(path="/proc/cpuinfo"):
    """What the CPU says it can do; nothing where the system does not tell."""
    try:
        with open(path, encoding="utf-8") as cpuinfo:
            lines = [line for line in cpuinfo if line.startswith("flags")]
    except OSError:
        return set()
    return set(lines[0].partition(":")[2].split()) if lines else set()


def vector_width(flags):
    """The widest instructions that count here, for the report."""
    if AVX512_FLAGS <= flags:
        return "AVX-512 with VNNI" if "avx512_vnni" in flags else "AVX-512"
    return "AVX2" if "avx2" in flags else "no AVX2"
