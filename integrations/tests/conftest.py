"""Nothing is reported to anyone while tests run."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
