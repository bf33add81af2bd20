# corpusmill in a container.
#   docker build --target cpu  --tag corpusmill:cpu .
#   docker build --target cuda --tag corpusmill:cuda .     run with --gpus all (NVIDIA container toolkit)
#   docker run --rm --volume "$PWD:/work" corpusmill:cpu corpus run llama --input RAW --output OUT

FROM python:3.11-slim-bookworm AS source
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY corpus corpus
COPY corpusmill corpusmill
COPY pipelines pipelines
COPY tokenizer tokenizer
COPY trainer trainer
RUN python -m venv /opt/corpusmill
ENV PATH=/opt/corpusmill/bin:$PATH

# torch without CUDA is published apart from PyPI
FROM source AS build-cpu
# versions are those of pyproject.toml
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "torch>=2.6,<2.14" \
    && pip install --no-cache-dir ".[train,hub,s3,gcs,report]"

# torch of PyPI brings the CUDA libraries; the driver is the host's
FROM source AS build-cuda
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[train,hub,s3,gcs,report,wandb]"

FROM python:3.11-slim-bookworm AS runtime
# a C++ compiler for trainer fit --set training.compile=true; Debian keeps no old versions, so none is pinned
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 mill \
    && install --directory --owner mill /var/cache/corpusmill /work
ENV PATH=/opt/corpusmill/bin:$PATH \
    NUMBA_CACHE_DIR=/var/cache/corpusmill \
    PYTHONUNBUFFERED=1
USER 1000
WORKDIR /work
CMD ["corpus", "--help"]

FROM runtime AS cuda
COPY --from=build-cuda /opt/corpusmill /opt/corpusmill

# the last stage is what is built without --target
FROM runtime AS cpu
COPY --from=build-cpu /opt/corpusmill /opt/corpusmill
