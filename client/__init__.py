"""Bundled workflows on a running ComfyUI, by name and with named parameters: `Client` (async) and `SyncClient`.

Imports aiohttp, and Pillow where a picture is given as one; neither torch nor ComfyUI. docs/python.md shows how.
"""

from ..studio.errors import InputError
from .connection import Client, Fetched, Job, Run, Step
from .errors import Cancelled, ClientError, ConnectionLost, ExecutionFailed, Problem, PromptLost, Refused, RunTimeout
from .sync import SyncClient, SyncJob
from .workflows import Parameter, Workflow, load_workflow, workflow_names

__all__ = [
    "Cancelled",
    "Client",
    "ClientError",
    "ConnectionLost",
    "ExecutionFailed",
    "Fetched",
    "InputError",
    "Job",
    "Parameter",
    "Problem",
    "PromptLost",
    "Refused",
    "Run",
    "RunTimeout",
    "Step",
    "SyncClient",
    "SyncJob",
    "Workflow",
    "load_workflow",
    "workflow_names",
]
