"""The option that writes the expected outputs."""


def pytest_addoption(parser):
    parser.addoption("--write", action="store_true", help="write the outputs as expected")
