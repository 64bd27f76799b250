"""Fill in the templates, in which text from data stays text."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context, select_autoescape
from jinja2.nodes import EvalContext

from datspect.reporting.markdown import escape


class Markdown(str):
    """Text that is Markdown already; a Markdown template escapes all other text."""

    __slots__ = ()


def render(template: str, **values: Any) -> str:
    """Return a template of this package (.md.j2, .html.j2) with its values, escaped for its language."""
    environment = Environment(
        loader=PackageLoader("datspect.reporting"),
        autoescape=select_autoescape(["html.j2"]),
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


@pass_eval_context
def _shown(context: EvalContext, value: object) -> object:
    return value if context.autoescape or isinstance(value, Markdown) else escape(str(value))
