"""What a client is told when a request cannot be answered. No TensorFlow."""

from __future__ import annotations


class RequestError(Exception):
    """A request that gets no answer but ``{"error": message}``.

    Attributes:
      status: HTTP status code.
      message: one or two sentences for the client.
      retry_after: seconds after which it may succeed, for the Retry-After header; None for never.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after

    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def busy(message: str) -> RequestError:
    """503: this request is refused so that those accepted are answered in time."""
    return RequestError(503, message, retry_after=1)


def check_count(images: int, most: int) -> None:
    """Check the number of images of a request, before anything is done with them.

    Raises:
      RequestError: 413, there are more than ever wait at a time.
    """
    if images > most:
        raise RequestError(413, f"{images} images in one request are too many: at most {most}.")
