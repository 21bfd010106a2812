"""The one exception that means "the user can fix this"."""


class UserError(Exception):
    """A mistake in the user's data, settings or environment.

    The message names what is wrong, where (file, line or key), what was expected and what to
    do. Entry points print it without a traceback; see :func:`mira.logs.logged`.
    """


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
