import tempfile
import unittest
from pathlib import Path

from peers.cpu import AVX512_FLAGS, cpu_flags, environment, vector_width


class EnvironmentTest(unittest.TestCase):
    def test_settings_for_another_cpu_do_not_reach_the_peers(self):
        inherited = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "1", "PATH": "/bin"}
        variables = environment(inherited, {"avx2"}, threads=2)
        expected = {"PATH": "/bin", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        self.assertEqual(variables, expected)
        self.assertIn("OPENBLAS_CORETYPE", inherited)

    def test_wide_kernels_are_taken_only_where_the_cpu_has_all_of_them(self):
        self.assertEqual(environment({}, AVX512_FLAGS, 1)["OPENBLAS_CORETYPE"], "SkylakeX")
        self.assertNotIn("OPENBLAS_CORETYPE", environment({}, AVX512_FLAGS - {"avx512bw"}, 1))

    def test_flags_are_those_of_the_first_core(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "cpuinfo"
            path.write_text("model name\t: X\nflags\t\t: fpu avx2\nflags\t\t: other\n")
            self.assertEqual(cpu_flags(path), {"fpu", "avx2"})
            self.assertEqual(cpu_flags(Path(directory) / "none"), set())

    def test_the_widest_instructions_are_named(self):
        self.assertEqual(vector_width({"avx2"}), "AVX2")
        self.assertEqual(vector_width(AVX512_FLAGS), "AVX-512")
        self.assertEqual(vector_width(AVX512_FLAGS | {"avx512_vnni"}), "AVX-512 with VNNI")
