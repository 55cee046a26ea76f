"""Examples in docstrings, for the reference: lines with `>>>` become a section of their own.

In the package they stand where a reader of the code wants them, without a heading.
"""

import inspect

import griffe


class Doctests(griffe.Extension):
    """Puts what begins with `>>>` under the heading that the docstring parser knows."""

    def on_instance(self, *, obj, **_):
        if obj.is_alias or obj.docstring is None:
            return
        text, mark, rest = inspect.cleandoc(obj.docstring.value).partition("\n>>> ")
        if mark:
            lines = (">>> " + rest).splitlines()
            example = "\n".join(f"    {line}".rstrip() for line in lines)
            obj.docstring.value = f"{text}\n\nExamples:\n{example}\n"
