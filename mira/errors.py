"""The one exception that means "the user can fix this"."""


class UserError(Exception):
    """A mistake in the user's data, settings or environment.

    The message names what is wrong, where (file, line or key), what was expected and what to
    do. Entry points print it without a traceback; see :func:`mira.logs.logged`.
    """
