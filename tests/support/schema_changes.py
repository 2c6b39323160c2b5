"""Whether one JSON Schema still fits programs that were written for another.

In: the schema of a published version, and today's. Out: what breaks: a field that is gone, is required now or is
promised no more; a type, a value or a length that is not allowed any more, or was never announced.
"""

from typing import Any

Schema = dict[str, Any]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaks(old: Schema, new: Schema, *, is_read: bool) -> list[str]:
    """Return what breaks; empty: nothing.

    Args:
        old: As it was published.
        new: As it is.
        is_read: True: Baton reads such messages, so it must take what it took. False: it writes them, so it must
            write nothing that readers do not know.
    """
    before, now = old["$defs"], new["$defs"]
    found = _union("message", _variants({key: old[key] for key in ("anyOf", "$ref") if key in old}), new, is_read)
    for name, model in before.items():
        if name not in now:
            found.append(f"{name} is gone")
        else:
            found += _model(name, model, now[name], is_read)
    return found


def _model(name: str, old: Schema, new: Schema, is_read: bool) -> list[str]:
    fields, left = old.get("properties", {}), new.get("properties", {})
    found = [f"{name}.{field} is gone" for field in fields.keys() - left.keys()]
    needs, needed = set(old.get("required", ())), set(new.get("required", ()))
    if is_read:
        found += [f"{name}.{field} is required now" for field in needed - needs]
    else:
        found += [f"{name}.{field} is promised no more" for field in needs - needed if field in left]
    if old.get("additionalProperties") is not False and new.get("additionalProperties") is False:
        found.append(f"{name} takes no other fields now")
    for field in fields.keys() & left.keys():
        found += _union(f"{name}.{field}", _variants(fields[field]), left[field], is_read)
    return found


def _union(where: str, before: dict[str, Schema], new: Schema, is_read: bool) -> list[str]:
    now = _variants(new)
    found = [f"{where} may not be {kind} any more" for kind in before.keys() - now.keys() if is_read]
    found += [f"{where} may be {kind} now" for kind in now.keys() - before.keys() if not is_read and before]
    for kind in before.keys() & now.keys():
        found += _limits(where, before[kind], now[kind])
    return found


def _limits(where: str, old: Schema, new: Schema) -> list[str]:
    found = []
    for names, is_narrower in ((LOWER, lambda was, is_: is_ > was), (UPPER, lambda was, is_: is_ < was)):
        found += [
            f"{where}: {name} is {new[name]} now, was {old.get(name, 'without')}"
            for name in names
            if name in new and (name not in old or is_narrower(old[name], new[name]))
        ]
    if new.get("pattern") not in (None, old.get("pattern")):
        found.append(f"{where}: has another pattern")
    gone = set(map(str, old.get("enum", ()))) - set(map(str, new.get("enum", old.get("enum", ()))))
    found += [f"{where} may not be {value!r} any more" for value in sorted(gone)]
    if "enum" in new and "enum" not in old and "const" not in old:
        found.append(f"{where}: only some values are allowed now")
    if (inner := old.get("items")) is not None and (inner_now := new.get("items")) is not None:
        found += _union(f"{where}[]", _variants(inner), inner_now, is_read=True)
    return found


def _variants(schema: Schema) -> dict[str, Schema]:
    """Return what a value may be, by type or by reference."""
    if "anyOf" in schema:
        return {kind: one for variant in schema["anyOf"] for kind, one in _variants(variant).items()}
    if "$ref" in schema:
        return {str(schema["$ref"]): schema}
    return {str(schema.get("type", "anything")): schema}
