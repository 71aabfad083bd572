# The worker of the queue `gpu`: TensorFlow with CUDA, or for the CPU with --build-arg TENSORFLOW=train.
FROM python:3.11-slim-bookworm AS build
ARG UV_VERSION=0.9.7
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir "uv==${UV_VERSION}"
ENV PATH=/opt/uv/bin:$PATH UV_LINK_MODE=copy UV_NO_CACHE=1 VIRTUAL_ENV=/opt/venv
RUN uv venv --quiet --python /usr/local/bin/python3 /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# The extra of pyproject.toml: `gpu` is tensorflow[and-cuda], `train` is tensorflow-cpu.
ARG TENSORFLOW=gpu
RUN uv pip install --quiet --compile-bytecode --constraint constraints.txt --requirement pyproject.toml \
      --extra "${TENSORFLOW}" --extra airflow --extra server \
 && find /opt/venv -type d -name tests -prune -exec rm -rf {} + \
 && rm -rf /opt/venv/lib/python3.11/site-packages/tensorflow/include
COPY README.md LICENSE ./
COPY pneumo_tasks pneumo_tasks
COPY plugins plugins
COPY dags dags
RUN uv pip install --quiet --compile-bytecode --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="pneumo-gpu-worker" \
      org.opencontainers.image.description="Pneumo's worker for features, training and evaluation" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
 && mkdir -p /opt/airflow/logs /var/cache/pneumo \
 && chown -R 50000:0 /opt/airflow /var/cache/pneumo && chmod -R g=u /opt/airflow /var/cache/pneumo
COPY --from=build /opt/venv /opt/venv
COPY docker/start.sh docker/healthy.py docker/airflow.cfg /opt/pneumo/bin/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TF_CPP_MIN_LOG_LEVEL=2 \
    HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib KERAS_HOME=/var/cache/pneumo/keras DO_NOT_TRACK=1 \
    AIRFLOW_HOME=/opt/airflow AIRFLOW_CONFIG=/opt/pneumo/bin/airflow.cfg \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/venv/share/pneumo/dags \
    PNEUMO_CACHE_FOLDER=/var/cache/pneumo NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/airflow
USER 50000:0
EXPOSE 8793
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s --retries=3 CMD ["python", "/opt/pneumo/bin/healthy.py"]
ENTRYPOINT ["/opt/pneumo/bin/start.sh"]
CMD ["worker", "gpu"]
