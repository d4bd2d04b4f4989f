"""Speak: a voice, a text, how; hear it and take it along."""

from __future__ import annotations

import gradio as gr

from amtts_cli.studio.studio import Studio
from amtts_cli.studio.ui import folders


def build(studio: Studio) -> None:
    """Makes the tab."""
    folders(studio, "run", label=studio.say("tab.speak"), first=["base"])
    gr.Markdown("")
