"""Checkpoints on the Hugging Face hub: `org/name` in place of a folder.

Only files of safe formats are fetched: safetensors, JSON, tokenizer files and recordings. What is in the cache already
is used where the hub cannot be reached.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from amtts_core.errors import AmttsError, CheckpointError

_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?")
SAFE_FILES = (
    "*.json",
    "*.safetensors",
    "tokenizer/*.model",
    "tokenizer/*.txt",
    "voices/*.wav",
    "voices/*.flac",
    "voices/*.safetensors",
    "vocoder/*",
    "codec/*",
    "README.md",
)
"""Patterns of what is fetched; pickles are not among them."""
_UNSAFE = ("*.pt", "*.pth", "*.bin", "*.ckpt", "*.pkl", "*.pickle")


def local_checkpoint(source: str | PathLike[str], *, revision: str | None = None) -> Path:
    """The folder that `source` means: a path as it is, or the cached snapshot of a repository on the hub.

    Args:
        source: path of a run or checkpoint, or `org/name`, or `org/name@revision`.
        revision: branch, tag or commit of the repository.

    Raises:
        CheckpointError: a repository that is not there, holds no checkpoint, or cannot be fetched.
    """
    path = Path(source)
    named = _NAME.fullmatch(str(source)) if not path.exists() else None
    if named is None:
        if revision is not None:
            raise CheckpointError(
                f"revision '{revision}' belongs to a repository on the hub; {source} is a path",
                remedy="Leave the revision out",
            )
        return path
    return _fetched(named["repo"], revision or named["revision"])


def _fetched(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    known = f"{repository} is no folder here"
    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(SAFE_FILES),
                ignore_patterns=list(_UNSAFE),
            )
        )
    except RevisionNotFoundError:
        raise CheckpointError(
            f"repository {repository} on the hub has no revision '{revision}'",
            remedy="Leave the revision out",
        ) from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            f"checkpoint {repository} does not exist: {known}, and no such repository on the hub",
            remedy="Train one with: amtts train --out DIR; for a private repository: hf auth login",
        ) from None
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"checkpoint {repository} does not exist: {known}, and the hub cannot be reached for a repository",
            remedy="Give a run or checkpoint folder, or go online",
        ) from None
    except (HFValidationError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AmttsError(f"repository {repository} cannot be fetched from the hub: {first[:200]}") from None
    if not (folder / "checkpoint.json").is_file():
        raise CheckpointError(
            f"repository {repository} on the hub holds no voice of amtts (no checkpoint.json)",
            remedy="Published weights of others: fetch them, then amtts adopt FOLDER",
        )
    return folder


def check_name(repository: str) -> None:
    """Refuses what is no `org/name`.

    Raises:
        AmttsError: it is not.
    """
    named = _NAME.fullmatch(repository)
    if named is None or named["revision"]:
        raise AmttsError(
            f"'{repository}' is no repository", remedy="Write org/name, such as my-org/amharic-voice"
        )


def hub_token() -> str | None:
    """The token that the user has logged in with; None where there is none."""
    from huggingface_hub import get_token

    return get_token()


def upload(folder: Path, repository: str, *, token: str, private: bool) -> str:
    """Sends a folder as one commit; the repository is made where there is none.

    Returns:
        the commit.

    Raises:
        AmttsError: it cannot be sent.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    api = HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        made = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="A voice of amtts")
    except (HFValidationError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AmttsError(f"{repository} cannot be written on the hub: {first[:200]}") from None
    return str(made.oid)
