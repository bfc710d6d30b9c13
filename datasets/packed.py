"""Images that lie one after the other in a few files, as raw pixels of one size (CIFAR-10 and MNIST)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError
from datasets.files import Stamp, stamp_of
from datasets.images import EncodedImage, ImageRejected, encode_planes


@dataclass(frozen=True)
class PackedReader:
    """Reads image number ``i`` of ``file``, by the name ``file:i``.

    Attributes:
      folder: where the files are.
      header_bytes: before the first image.
      label_bytes: before each image.
      height: in pixels.
      width: in pixels.
      bands: 1 (grey), or 3 planes one after the other (red, green, blue).
    """

    folder: str
    header_bytes: int
    label_bytes: int
    height: int
    width: int
    bands: int

    @property
    def stride(self) -> int:
        """Bytes from one image to the next."""
        return self.label_bytes + self.height * self.width * self.bands

    def stamp(self, name: str) -> Stamp:
        """Bytes of one image; size and time of change of the file that holds it."""
        return Stamp(stamp_of(f"{self.folder}/{name.rpartition(':')[0]}").text, self.stride)

    def load(self, name: str) -> EncodedImage:
        """Read one image and encode it as PNG."""
        file_name, _, index = name.rpartition(":")
        with Path(self.folder, file_name).open("rb") as file:
            file.seek(self.header_bytes + int(index) * self.stride + self.label_bytes)
            pixels = file.read(self.stride - self.label_bytes)
        if len(pixels) < self.stride - self.label_bytes:
            raise ImageRejected("truncated", f"{file_name} ends inside the image")
        return encode_planes(pixels, self.height, self.width, self.bands)

    def check_size(self, path: Path, num_images: int) -> None:
        """Make sure that a file is as long as ``num_images`` images are.

        Raises:
          DataError: it is not.
        """
        expected, found = self.header_bytes + num_images * self.stride, path.stat().st_size
        if found != expected:
            raise DataError(f"{path} has {found:,} bytes, not the {expected:,} of {num_images:,} images.")
