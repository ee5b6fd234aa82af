"""Write a large object as what differs from a known one, and read it again."""

from typing import Any

MARK = "~"  # {MARK: [[path, value], [path]]}: set or remove


def differences(base: Any, value: Any, path: tuple[str | int, ...] = ()) -> list[list[Any]]:
    if isinstance(base, dict) and isinstance(value, dict):
        found: list[list[Any]] = [[[*path, key]] for key in base if key not in value]
        for key, entry in value.items():
            found += differences(base[key], entry, (*path, key)) if key in base else [[[*path, key], entry]]
        return found
    if isinstance(base, list) and isinstance(value, list) and len(base) == len(value):
        pairs = enumerate(zip(base, value, strict=True))
        return [change for index, (old, new) in pairs for change in differences(old, new, (*path, index))]
    return [] if base == value and type(base) is type(value) else [[list(path), value]]


def packed(base: Any, value: Any) -> Any:
    return {MARK: differences(base, value)}


def unpacked(base: Any, value: Any) -> Any:
    """Undo `packed`; a value that is not packed comes back as it is."""
    if not isinstance(value, dict) or MARK not in value:
        return value
    found = copied(base)
    for path, *rest in value[MARK]:
        if not path:
            return copied(rest[0])
        place = found
        for part in path[:-1]:
            place = place[part]
        if rest:
            place[path[-1]] = copied(rest[0])
        else:
            del place[path[-1]]
    return found


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return [copied(entry) for entry in value] if isinstance(value, list) else value
