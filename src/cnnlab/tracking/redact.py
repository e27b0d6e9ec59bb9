"""No secret reaches a file: keys, tokens and passwords are replaced before anything is written."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MARK = "<redacted>"

_SECRET_WORDS = {
    *("key", "keys", "apikey", "token", "tokens", "secret", "secrets", "auth"),
    *("pass", "password", "passwords", "passwd", "passphrase", "pwd"),
    *("credential", "credentials"),
}
_SHORTEST = 6  # a shorter value is replaced where its name tells it, but not wherever it occurs

_PATTERNS = (
    (re.compile(r"(?<=://)(?!git@)[^/\s@'\"]+@"), f"{MARK}@"),  # user:password@ or token@ in a URL
    (
        re.compile(r"(?i)([?&][\w-]*(?:key|token|secret|password|signature)=)[^&\s'\"]+"),
        rf"\g<1>{MARK}",
    ),
    (
        re.compile(
            r"(?<![\w-])(?:"
            r"wandb_v\d_\w{20,}|local-[0-9a-f]{40}"  # Weights & Biases
            r"|hf_[A-Za-z0-9]{20,}"  # Hugging Face
            r"|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"  # GitHub, GitLab
            r"|AKIA[0-9A-Z]{16}|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}"  # AWS, OpenAI, Slack
            r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"  # JSON web tokens
            r")"
        ),
        MARK,
    ),
)
# Not within a path: folders of a hub's cache are named by commits.
_WANDB_HEX_KEY = re.compile(r"(?<![0-9A-Za-z/])[0-9a-f]{40}(?![0-9A-Za-z/])")
_ASSIGNMENT = re.compile(r"([\w.@/+~-]+)=('[^']*'|\"[^\"]*\"|[^\s,&{}\[\]]+)")
_ENTRY = re.compile(
    r"(?<=[{,])(\s*['\"]?[\w.-]+['\"]?\s*:\s*)('[^']*'|\"[^\"]*\"|[^\s,&{}\[\]'\"]+)"
)
"""Of a dict that is typed as one word: `tags={api_key: abc}`."""


class Redactor:
    """Knows the secrets of this run: from the names of config keys, of variables, and by form.

    Args:
        config: resolved config as plain containers.
        words: overrides and other words of the command line.
        environ: environment variables.
    """

    def __init__(
        self, config: Mapping[str, Any], words: Iterable[str], environ: Mapping[str, str]
    ) -> None:
        found = {v for k, v in environ.items() if is_secret(k) and k != "PWD"}  # the folder
        found |= set(_named_secrets(config))
        for word in words:
            found |= set(_secrets_in(word))
        known = sorted((v for v in found if len(v) >= _SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """`text` without secrets; 40 hex digits count as a W&B key."""
        return _without_named(_WANDB_HEX_KEY.sub(MARK, self.prose(text)))

    def prose(self, text: str) -> str:
        """`text` without known secrets, but with commit ids and other hashes."""
        for pattern, mark in _PATTERNS:
            text = pattern.sub(mark, text)
        return self._known.sub(MARK, text) if self._known else text

    def config(self, value: Any, name: str = "") -> Any:
        """A config (or part of one, under the key `name`) without secrets."""
        if isinstance(value, Mapping):
            return {key: self.config(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.config(item, name) for item in value]
        if is_secret(name) and value is not None and not isinstance(value, bool):
            return MARK
        return self.text(value) if isinstance(value, str) else value

    def facts(self, value: Any) -> Any:
        """What the program found out, without known secrets; names of keys say nothing there."""
        if isinstance(value, Mapping):
            return {key: self.facts(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.facts(item) for item in value]
        return self.prose(value) if isinstance(value, str) else value


def is_secret(name: str) -> bool:
    """Whether a config key or variable of that name holds a secret.

    The last word tells: `api_key`, `WANDB_API_KEY` and `hub.token` do, `key_dim` does not.
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name.rpartition(".")[2])
    return bool(words) and words[-1].lower() in _SECRET_WORDS


def _without_named(text: str) -> str:
    """What is assigned to the name of a secret, also within quotes and in a dict, is replaced."""

    def entry(found: re.Match[str]) -> str:
        return f"{found[1]}{MARK}" if is_secret(_name(found[1])) else found[0]

    def assigned(found: re.Match[str]) -> str:
        if is_secret(found[1]):
            return f"{found[1]}={MARK}"
        inner = _quoted(found[2])
        return found[0] if inner is None else found[0].replace(inner, _without_named(inner))

    return _ASSIGNMENT.sub(assigned, _ENTRY.sub(entry, text))


def _secrets_in(word: str) -> Iterator[str]:
    """The values that `_without_named` replaces."""
    for name, value in _ENTRY.findall(word):
        if is_secret(_name(name)):
            yield value.strip("'\"")
    for name, value in _ASSIGNMENT.findall(word):
        if is_secret(name):
            yield value.strip("'\"")
        elif inner := _quoted(value):
            yield from _secrets_in(inner)


def _name(entry: str) -> str:
    return entry.strip(" :'\"")


def _quoted(value: str) -> str | None:
    """What is within the quotes; None: there are none, or nothing is."""
    return value[1:-1] or None if value[0] in "'\"" and value[-1] == value[0] else None


def _named_secrets(node: Any, name: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, item in node.items():
            yield from _named_secrets(item, str(key))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _named_secrets(item, name)
    elif is_secret(name) and isinstance(node, str | int) and not isinstance(node, bool):
        yield str(node)
