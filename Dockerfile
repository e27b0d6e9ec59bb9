# docker build --build-arg DEVICE=cuda -t cnnlab . && docker run --gpus all --shm-size=8g -v $PWD/runs:/lab/runs cnnlab data=digits
# The published torch wheel holds the CUDA libraries and runs on CPUs too, so both images have the same locked packages;
# DEVICE=cuda asks the container runtime for the GPUs.
ARG DEVICE=cpu
FROM python:3.12-slim AS cpu
FROM python:3.12-slim AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM ${DEVICE}
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
# chromium: tests/tracking/report opens the report of `compare --html` in it.
RUN apt-get update && apt-get install -y --no-install-recommends git g++ chromium && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home lab && install -d -o lab /lab
WORKDIR /lab
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY --chown=lab . .
RUN pip install --no-deps -e .
USER lab
ENTRYPOINT ["python", "train.py"]
