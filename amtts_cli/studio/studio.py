"""What every tab gets: workspace, job table, words."""

from __future__ import annotations

from dataclasses import dataclass, field

from amtts_cli.studio.jobs import JobTable
from amtts_cli.studio.machine import Watch
from amtts_cli.studio.strings import Say
from amtts_cli.studio.voices import Voices
from amtts_cli.studio.workspace import Workspace


@dataclass(frozen=True)
class Studio:
    """A studio in one language.

    Attributes:
        workspace: its folder.
        jobs: long work.
        say: words of the interface.
        voices: those that are loaded.
        machine: how busy it is.
        device: where networks compute: cpu, cuda, cuda:1.
        longest_text: characters that are spoken at once.
        largest_upload: bytes.
    """

    workspace: Workspace
    jobs: JobTable
    say: Say
    voices: Voices = field(default_factory=Voices)
    machine: Watch = field(default_factory=Watch)
    device: str = "cpu"
    longest_text: int = 4096
    largest_upload: int = 1 << 30
