# slim-train in a container, as an ordinary user with uid 1000.
#
#   docker build -t slim-train .
#   docker build -t slim-train:gpu --build-arg EXTRAS=plots,gpu .        # CUDA libraries by pip, for NVIDIA GPUs
#
#   docker run --rm -v "$PWD/data:/data" -v "$PWD/models:/models" slim-train \
#     train_image_classifier --dataset_dir=/data/fer --train_dir=/models/fer --model_name=mobilenet_v2
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v ... slim-train:gpu train_image_classifier ...
#
# /data holds data sets, /models training folders. EXTRAS are those of setup.py.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS builder
ARG EXTRAS=plots
RUN python -m venv /opt/slim-train
WORKDIR /src
COPY . .
RUN /opt/slim-train/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:${PYTHON_VERSION}-slim
RUN useradd --uid 1000 --create-home slim \
 && install -d -o slim -g slim /data /models
COPY --from=builder /opt/slim-train /opt/slim-train
# With --user the home folder is not writable; matplotlib wants a folder that is.
ENV PATH=/opt/slim-train/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER 1000:1000
WORKDIR /home/slim
VOLUME ["/data", "/models"]
CMD ["train_image_classifier", "--help"]
