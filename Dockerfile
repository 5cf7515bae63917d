# One image for serve, api and worker. Build arguments: the address of PyTorch's CPU package index, when it
# can be reached (it saves gigabytes of CUDA that are never used), and the Python version.
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim AS build
ARG TORCH_INDEX=""
WORKDIR /build
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE ./
COPY app app
COPY models models
RUN python -m venv /opt/foreshock \
    && torch="$(grep '^torch==' constraints.txt)" \
    && if [ -n "$TORCH_INDEX" ]; then /opt/foreshock/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "$torch"; fi \
    && /opt/foreshock/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --create-home --uid 10001 foreshock && install -d -o foreshock /data
COPY --from=build /opt/foreshock /opt/foreshock
ENV PATH=/opt/foreshock/bin:$PATH \
    OMP_NUM_THREADS=1 \
    FORESHOCK_HOST=0.0.0.0 \
    FORESHOCK_DATA_DIR=/data \
    FORESHOCK_DATABASE_URL=sqlite:////data/foreshock.sqlite3
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8321
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/healthz', timeout=4)"]
ENTRYPOINT ["foreshock"]
CMD ["serve"]
