"""The error for data that a user must mend."""


class DataError(ValueError):
    """A folder, file or record given by the user is wrong; the message names it and says what to do."""
