"""What the site needs beyond Markdown: links to files that are not part of it become plain text.

The pages are read in the repository too, where such links work.
"""

import re

LINK_OUT = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./)+[^)\s]*\)")


def on_page_markdown(markdown, page, **_):
    """Replaces the links of a page that lead out of the documentation."""
    depth = page.file.src_uri.count("/")

    def kept_or_text(match):
        climbs = match.group(0).split("](", 1)[1].count("../")
        return match.group(1) if climbs > depth else match.group(0)

    return LINK_OUT.sub(kept_or_text, markdown)
