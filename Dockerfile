# slim-train in a container, as an ordinary user with uid 1000.
#
#   docker build -t slim-train .
#   docker build -t slim-train:gpu --build-arg EXTRAS=plots,serve,gpu .      # CUDA libraries by pip, for NVIDIA GPUs
#
#   docker run --rm -v "$PWD/data:/data" -v "$PWD/models:/models" slim-train \
#     train_image_classifier --dataset_dir=/data/fer --train_dir=/models/fer --model_name=mobilenet_v2
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v ... slim-train:gpu train_image_classifier ...
#
#   docker build -t slim-train:serve --target serve .                         # the HTTP service
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/models:/models:ro" slim-train:serve --model_dir=/models/fer
#
# /data holds data sets, /models training folders. EXTRAS are those of setup.py.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS builder
ARG EXTRAS=plots,serve
RUN python -m venv /opt/slim-train
WORKDIR /src
COPY . .
RUN /opt/slim-train/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:${PYTHON_VERSION}-slim AS runtime
RUN useradd --uid 1000 --create-home slim \
 && install -d -o slim -g slim /data /models
COPY --from=builder /opt/slim-train /opt/slim-train
# With --user the home folder is not writable; matplotlib wants a folder that is.
ENV PATH=/opt/slim-train/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER 1000:1000
WORKDIR /home/slim

FROM runtime AS serve
EXPOSE 8080
HEALTHCHECK --start-period=120s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=5)"]
# Within a container every address is its own; -p says who gets in.
ENTRYPOINT ["serve_image_classifier", "--host=0.0.0.0"]
CMD ["--model_dir=/models"]

# The last stage is what a build without --target makes.
FROM runtime AS train
VOLUME ["/data", "/models"]
CMD ["train_image_classifier", "--help"]
