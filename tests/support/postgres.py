"""URLs of PostgreSQL as its clients understand them, with a schema of their own.

In: `postgresql://user:password@host:port/database`. Out: the same, with `search_path`.
"""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit


def with_schema(url: str, schema: str) -> str:
    """Return `url` with `?search_path=schema`, as asyncpg takes it."""
    split = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(split.query) if name != "search_path"]
    return urlunsplit(split._replace(query=urlencode([*query, ("search_path", schema)])))


def schema_of(url: str) -> str | None:
    """Return the schema that `url` names, if any."""
    return dict(parse_qsl(urlsplit(url).query)).get("search_path")


def for_psycopg(url: str) -> str:
    """Return `url` with its schema as psycopg and libpq take it: `?options=-csearch_path%3Dschema`."""
    split = urlsplit(url)
    query = parse_qsl(split.query)
    rest = [(name, value) for name, value in query if name != "search_path"]
    schema = dict(query).get("search_path")
    if schema is not None:
        rest.append(("options", f"-csearch_path={schema}"))
    # libpq reads a plus sign as one: a space has to be %20.
    return urlunsplit(split._replace(query=urlencode(rest, quote_via=quote)))
