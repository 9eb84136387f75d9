"""What can go wrong between a client and a ComfyUI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ClientError(Exception):
    """The base of all of them, but for InputError: a parameter that was wrong before anything was sent."""


class ConnectionLost(ClientError):
    """The server cannot be reached, or not for longer than the client's patience."""


class PromptLost(ClientError):
    """The server knows nothing of the prompt: it was started anew, or somebody deleted the prompt from its queue."""


class Cancelled(ClientError):
    """The prompt was cancelled, by this client or by somebody else."""


class RunTimeout(ClientError, TimeoutError):
    """The prompt was not done in time, and has been cancelled."""


class Problem(NamedTuple):
    """What is wrong with one input of a workflow."""

    node: str  # its id in the workflow
    node_type: str
    input: str
    message: str
    parameter: str | None  # the named parameter that sets this input, if one does

    def __str__(self) -> str:
        where = f"{self.node_type} ({self.node})" + (f", {self.input}" if self.input else "")
        return f"{self.parameter or where}: {self.message}" + (f" [{where}]" if self.parameter else "")


class Refused(ClientError):
    """ComfyUI did not take the workflow."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()):
        super().__init__("; ".join(map(str, problems)) or message)
        self.problems = tuple(problems)


class ExecutionFailed(ClientError):
    """A node failed while it ran."""

    def __init__(self, node: str, node_type: str, message: str):
        super().__init__(f"{node_type} ({node}): {message}")
        self.node, self.node_type, self.message = node, node_type, message
