"""The directive ``options``: a table of a family's options, from their docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Options(SphinxDirective):
    """The family is the argument; a name of none is an error of the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown, and let it be read like the page."""
        from crossprune.harness.cli.options import options_of
        from crossprune.harness.errors import MissingPackage, StudyError
        from crossprune.harness.lookup import adapter_class

        try:
            options = options_of(adapter_class(self.arguments[0]))
        except (StudyError, MissingPackage) as error:
            raise self.error(str(error)) from None
        lines = ["| option | type | default | what it is |", "|---|---|---|---|"]
        for one in options:
            cells = (f"`{one.name}`", one.kind, f"`{one.default}`", one.text)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("options", Options)
    return {"parallel_read_safe": True}
