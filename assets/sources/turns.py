"""Turns as datasets write them, brought to one form: role (user, assistant or system) and content.

Functions raise ValueError, saying what was expected, where a value is not turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Message = dict[str, str]
Messages = tuple[Message, ...]

# How OpenAI, ShareGPT and their kin name the speaker.
ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}

# Anthropic's HH-RLHF writes a conversation as one string, each turn after a blank line.
SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):[ \t]*")
TRANSCRIPT = re.compile(r"\s*(?:Human|Assistant):")


def conversation(value: object, system: object = None) -> Messages:
    """A list of turns: OpenAI's `{role, content}` or ShareGPT's `{from, value}`."""
    if not isinstance(value, list) or not value:
        raise ValueError("expected a list of turns")
    turns = tuple(_turn(turn, number) for number, turn in enumerate(value, 1))
    return _system(system) + turns


def instruction(system: str, instruction: str, input: str, output: str) -> Messages:
    """One question and its answer; the input, where there is one, stands below the instruction."""
    asked = f"{instruction}\n\n{input}" if input.strip() else instruction
    return (*_system(system), _message("user", asked), _message("assistant", output))


def preference(
    chosen: object, rejected: object, prompt: object = None, system: object = None
) -> tuple[Messages, list[Message]]:
    """The conversation with the chosen answer, and the turns that differ in the rejected one."""
    opening = _system(system) + _prompt(prompt)
    preferred = _answered(chosen, opening, "chosen")
    other = _answered(rejected, opening, "rejected")
    shared = 0
    while shared < min(len(preferred), len(other)) and preferred[shared] == other[shared]:
        shared += 1
    return preferred, list(other[shared:])


def _answered(value: object, opening: Messages, name: str) -> Messages:
    if isinstance(value, list):
        turns = conversation(value)
        # A full conversation repeats the prompt that is given beside it.
        return turns if turns[: len(opening)] == opening else opening + turns
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a string or a list of turns, got a {type(value).__name__}")
    if any(turn["role"] == "user" for turn in opening):
        return (*opening, _message("assistant", value))
    if not TRANSCRIPT.match(value):
        raise ValueError(f"{name}: expected 'Human: … Assistant: …', or a prompt mapped beside it")
    return opening + _transcript(value)


def _transcript(text: str) -> Messages:
    _, *parts = SPEAKER.split(text)
    speakers, contents = parts[::2], parts[1::2]
    return tuple(
        _message(ROLES[speaker.lower()], content.strip())
        for speaker, content in zip(speakers, contents, strict=True)
    )


def _prompt(value: object) -> Messages:
    if value is None:
        return ()
    return (_message("user", value),) if isinstance(value, str) else conversation(value)


def _system(value: object) -> Messages:
    return (_message("system", value),) if isinstance(value, str) and value.strip() else ()


def _turn(turn: object, number: int) -> Message:
    if not isinstance(turn, Mapping):
        raise ValueError(f"turn {number}: expected an object, got a {type(turn).__name__}")
    speaker = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(speaker, str) or speaker.lower() not in ROLES:
        raise ValueError(f"turn {number}: role {str(speaker)[:20]!r} is none of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise ValueError(f"turn {number}: content is a {type(content).__name__}, not a string")
    return _message(ROLES[speaker.lower()], content)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
