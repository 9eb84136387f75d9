"""The one place where every input of every node is checked against the node's own schema."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from comfy_api.latest import io

from ..studio.cancelling import cancelled_by
from ..studio.errors import Bare, InputError
from ..studio.inputs import Wanted, require

ENOUGH_MEMORY = (
    "less at a time (fewer or smaller pictures, a model of smaller weights), or more free memory: close what else uses it"
    " and queue again"
)


def check_inputs(node: type[io.ComfyNode]) -> None:
    """From now on `execute` of the node gets only values that its schema allows; others raise InputError before it.

    While it works, `cancelling.check_cancel` hears the user's Cancel. What an InputError says reaches the editor in its
    user's language. Where memory runs out, the node is named, and ComfyUI unloads its models, so that the next prompt begins
    with all of it. No node has an async `execute`: its errors would pass by.
    """
    inner = node.execute.__func__  # type: ignore[attr-defined]  # a classmethod's function
    if inspect.iscoroutinefunction(inner):
        raise TypeError(f"{node.__name__}.execute is async: check_inputs would see none of its errors")

    @functools.wraps(inner)
    def execute(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        from ..host.progress import check_cancel

        try:
            with cancelled_by(check_cancel):
                return inner(cls, **accepted(cls, values))
        except Exception as error:
            from ..host import languages
            from ..studio.out_of_memory import OutOfMemory, ran_out

            if isinstance(error, InputError):
                error.args = (languages.error(error),)
                raise
            if not ran_out(error):
                raise
            shown = Bare(f"used up in {(node.SCHEMA or node.GET_SCHEMA()).display_name}")
            failed = OutOfMemory("memory", shown, ENOUGH_MEMORY)
            failed.args = (languages.error(failed),)
        # Outside of the handler: the exception holds what filled the memory.
        raise failed

    node.execute = classmethod(execute)  # type: ignore[assignment,method-assign]


def accepted(node: type[io.ComfyNode], values: dict[str, Any]) -> dict[str, Any]:
    """`values` as the schema of `node` takes them. Raises InputError for the first that it does not."""
    schema = node.SCHEMA or node.GET_SCHEMA()
    taken = dict(values)
    for name, wanted in _wanted(node, schema).items():
        if name in values:
            each = require if not schema.is_input_list else _require_each
            taken[name] = each(_renewed(node, wanted, values[name]), values[name])
    return taken


def refusal(*checks: tuple[Callable[[Any], Any], Any]) -> bool | str:
    """For `validate_inputs`: True, or what the first (check, value) that fails says. It refuses before any node has run.

    None is what comes over a link and is not known yet.
    """
    try:
        for check, value in checks:
            if value is not None:
                check(value)
    except InputError as error:
        return str(error)
    return True


def _require_each(wanted: Wanted, values: Any) -> list[Any]:
    """For a node that takes lists: every entry."""
    return [require(wanted, value) for value in values]


def _wanted(node: type[io.ComfyNode], schema: io.Schema) -> dict[str, Wanted]:
    named_later = _checked_by_itself(node)
    return {entry.id: _of(entry, named_later) for entry in schema.inputs or ()}


def _of(entry: io.Input, named_later: Iterable[str]) -> Wanted:
    options = getattr(entry, "options", None)
    return Wanted(
        entry.id,
        entry.get_io_type(),
        bool(entry.optional),
        getattr(entry, "min", None),
        getattr(entry, "max", None),
        None if options is None or entry.id in named_later else tuple(options),
    )


def _checked_by_itself(node: type[io.ComfyNode]) -> list[str]:
    """Inputs whose options come and go: the node's own `validate_inputs` has them, and `execute` names a wrong one."""
    own = node.validate_inputs
    return (
        []
        if getattr(own, "__func__", own) is io.ComfyNode.validate_inputs.__func__
        else inspect.getfullargspec(own).args
    )  # type: ignore[attr-defined]


def _renewed(node: type[io.ComfyNode], wanted: Wanted, value: Any) -> Wanted:
    """With the options of this moment, where the value is not among those that the editor was given: a new file."""
    if wanted.options is None or value in wanted.options:
        return wanted
    entries = node.define_schema().inputs or ()
    return next((_of(entry, ()) for entry in entries if entry.id == wanted.name), wanted)
